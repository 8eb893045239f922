"""One method on one problem: its data over the theorem's bound, the figure and a verdict."""

import numpy as np
from matplotlib.figure import Figure

from .experiments.base import tidy
from .figures import GUARANTEE, Frame, canvas, draw_trials
from .methods import Method, record_grid
from .problems import Problem
from .programs import bound, program_of, run_methods
from .sampling import Sampling


def run_method(
    problem: Problem, sampling: Sampling, method: Method, *, steps: int, trials: int, seed: int, program: str = ""
) -> Frame:
    """Run a method; one row for each trial and recorded step, with the bound (NaN without one) and the program.

    Args:
        problem, sampling, method: what to run; ``method.label`` names the line.
        steps, trials, seed: length of the run, number of sample streams and their seed.
        program: the program to use, instead of the fastest that knows the rule.
    """
    method.check_sampling(sampling)
    program = program or program_of(problem, sampling, method.variant, method.hyper)
    record = record_grid(steps, 60, log=False)
    result = run_methods(problem, sampling, [method], record=record, trials=trials, seed=seed, program=program)
    limit = bound(problem, sampling, method, record)
    if result.farthest.max() > problem.radius:  # the constants, and so the bound, hold on a ball around the start
        limit = np.full_like(limit, np.nan)
    return tidy(result, [method], program=program).assign(bound=np.tile(limit, trials))


def draw(data: Frame) -> Figure:
    figure = canvas(width=6.0, height=3.6)
    (axes,) = figure.axes
    axes.set(yscale="log", xlabel="step", ylabel="f - f*")
    draw_trials(axes, data, y="gap", label=str(data["method"].iloc[0]))
    first = data[data["trial"] == 0]
    if first["bound"].notna().all():
        axes.plot(first["step"], first["bound"], label="guarantee", **GUARANTEE)
    axes.legend(fontsize=7)
    return figure


def findings(data: Frame) -> list[str]:
    """Say which program ran, where the run ended, and whether it kept to the bound."""
    mean = data.groupby("step")[["gap", "relative", "bound"]].mean()
    ran = f"Run by {data['program'].iloc[0]}."
    if not np.isfinite(data["gap"]).all():
        return [ran, "The run diverged: f is not finite at some recorded step."]
    end = f"Relative gap after {mean.index.max():,} steps: {mean['relative'].iloc[-1]:.2e}."
    if mean["bound"].isna().any():
        return [ran, end, "No bound is drawn: the theorem does not cover this variant, sampling, step size or region."]
    # At the start both are equal, up to rounding; below 1e-14 of the start the gap is rounding itself.
    above = mean[(mean["gap"] > mean["bound"]) & (mean["relative"] > 1e-14)].loc[1:]
    held = (
        "is inside the guarantee at every recorded step"
        if above.empty
        else (f"is above the guarantee at {len(above)} of {len(mean) - 1} recorded steps, first at {above.index[0]:,}")
    )
    return [ran, end, f"The mean over {data['trial'].nunique()} trials {held} after the start."]
