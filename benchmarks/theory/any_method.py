"""One method on one problem: its program, its data over the theorem's bound, the figure and a verdict."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from ...errors import ConfigError
from ...hyper import Hyper
from ...variants import get_info, list_variants
from .batched_solver import Trajectories, has_compiled_path, solve
from .bounds import curve, recursion
from .experiments.base import tidy
from .figures import GUARANTEE, Frame, canvas, draw_trials
from .methods import SAM_FAMILY, Method, record_grid
from .problems import Problem
from .reference_solver import solve_with_variant
from .sampling import Floats, Sampling, make_sampling
from .step_sizes import STEP_SIZES, Constants, fixed

COMPILED, TENSOR, LOOPED = "compiled code", "the tensor program", "the registered step rule, step by step"


def make_method(
    problem: Problem,
    sampling: Sampling,
    variant: str,
    step_size: str,
    steps: int,
    *,
    lam: str | None = None,
    rho: float | None = None,
    hyper: Mapping[str, float | str] | None = None,
) -> Method:
    """Read a method from texts.

    Args:
        problem, sampling: where its constants come from.
        variant: a registered variant.
        step_size: name of a step size, or a number, the constant gamma; then rho is the variant's default.
        steps: length of the run, which some step sizes depend on.
        lam: lambda of ``unified_sam``, a number, ``"1/t"`` or ``"1-1/t"``.
        rho: constant rho, instead of the step size's own.
        hyper: further hyper-parameters of the variant.

    Raises:
        ConfigError: an unknown name, a value out of range, or ``lam`` or ``rho`` among ``hyper``.
    """
    info, hyper = get_info(variant), dict(hyper or {})
    for name in {"rho"} | ({"lam"} if SAM_FAMILY.get(variant.removeprefix("is_"), 0.0) is None else set()):
        if name in hyper:
            raise ConfigError(f"--set {name}={hyper[name]}: give --{name}, which the bound can follow")
    if rho is not None and "rho" not in info.hyper:
        raise ConfigError(f"variant {variant!r} has no rho; leave --rho out")
    rule = _number(step_size)
    own = STEP_SIZES.get(step_size) if isinstance(rule, str) else fixed(rule, _default_rho(info.hyper))
    # The biased sampling has no constants of its own: it takes those of the one that it imitates.
    fair = sampling if sampling.unbiased else make_sampling("importance", problem)

    def step(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
        gamma, radius = own(c, t, lam)
        return gamma, radius if rho is None else np.full_like(t, rho)

    value = None if lam is None else _number(lam)
    constants = Constants.of(problem, fair, steps)
    method = Method(variant, step, constants, value, f"{variant}, {step_size}", hyper)
    method.schedule(np.zeros(1))  # refuses an impossible lambda before the run
    return method


def _default_rho(declared: Mapping[str, Hyper]) -> float:
    rho = declared["rho"].default if "rho" in declared else 0.0
    return float(rho)


def _number(text: str) -> float | str:
    with suppress(ValueError):
        return float(text)
    return text


def program_of(problem: Problem, sampling: Sampling, method: Method) -> str:
    """Return which program runs a method: the fastest that knows its rule.

    Raises:
        ConfigError: the variant needs more than a plain closure.
    """
    info = get_info(method.variant)
    if info.needs:
        plain = ", ".join(one.name for one in list_variants() if not one.needs)
        raise ConfigError(
            f"variant {method.variant!r} needs {', '.join(info.needs)}, which no theory problem has; valid: {plain}"
        )
    if method.family not in SAM_FAMILY or method.hyper:
        return LOOPED
    return COMPILED if has_compiled_path(problem, sampling) else TENSOR


def bound(problem: Problem, sampling: Sampling, method: Method, record: np.ndarray) -> Floats | None:
    """Return the guarantee on E f - f* at the recorded steps, (R,); None where the theorem does not cover the run."""
    if method.family not in SAM_FAMILY or method.hyper or not sampling.unbiased:
        return None
    step = recursion(problem, sampling, *method.schedule(np.arange(record[-1], dtype=np.float64)))
    values = curve(float(problem.gap(problem.x0)), step)[record]
    return None if np.isnan(values).any() else values


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
    program = program or program_of(problem, sampling, method)
    record = record_grid(steps, 60, log=False)
    if program == LOOPED:
        one = [
            solve_with_variant(problem, sampling, method, record=record, trial=trial, seed=seed)
            for trial in range(trials)
        ]
        result = _together(one)
    else:
        result = solve(
            problem, sampling, [method], record=record, trials=trials, seed=seed, compiled=program == COMPILED
        )
    # The constants, and so the bound, hold on a ball around the start.
    limit = bound(problem, sampling, method, record) if result.farthest.max() <= problem.radius else None
    limits = np.full(len(record), np.nan) if limit is None else limit
    return tidy(result, [method], program=program).assign(bound=np.tile(limits, trials))


def _together(trials: Sequence[Trajectories]) -> Trajectories:
    arrays = {
        name: np.concatenate([getattr(one, name) for one in trials], axis=1)
        for name in ("gap", "slope", "x", "farthest")
    }
    return replace(trials[0], **arrays)


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
