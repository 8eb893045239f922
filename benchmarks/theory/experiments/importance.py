"""The paper's importance-sampling figure, with the weights that make the sampling unbiased."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import has_compiled_path, solve
from ..figures import Frame, canvas, colors, draw_trials
from ..methods import make_methods, record_grid
from ..problems import Problem, published_importance
from ..sampling import make_sampling
from ..trend import FALLING, crossing, endings, trend
from .base import EXPERIMENTS, Experiment, at_end, tidy

STEPS = 300_000


def measure(
    quick: bool,
    problem: Problem | None = None,
    step_size: str = "theorem-3.2",
    lam: Sequence[float | str] | None = None,
    steps: int | None = None,
    trials: int = 5,
    seed: int = 0,
) -> Frame:
    of = problem or published_importance().problem
    compiled = has_compiled_path(of, make_sampling("uniform", of))
    length = steps or STEPS // (1 if compiled else 10) // (100 if quick else 1)
    parts = []
    for name in ("uniform", "importance"):
        sampling = make_sampling(name, of)
        methods = make_methods(of, sampling, step_size, length, lam, (0.0, 0.5, 1.0))
        record = record_grid(length, 60, log=False)
        result = solve(of, sampling, methods, record=record, trials=trials, seed=seed)
        for method in methods:
            gamma = float(method.schedule(np.zeros(1))[0][0])
            part = tidy(result, methods, sampling=name, gamma=gamma)
            parts.append(part[part["method"] == method.label])
    return pd.concat(parts, ignore_index=True)


def draw(data: Frame) -> Figure:
    lines = data.groupby("method", sort=False)
    figure = canvas(columns=lines.ngroups, width=2.9, sharey=True)
    for axes, (label, part) in zip(figure.axes, lines, strict=True):
        axes.set(yscale="log", xlabel="step", title=label)
        for name, color in colors(data["sampling"]).items():
            draw_trials(axes, part[part["sampling"] == name], label=str(name), color=color)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    figure.axes[0].set_ylabel("(f - f*) / (f0 - f*)")
    figure.axes[0].legend()
    return figure


def findings(data: Frame) -> list[str]:
    last = at_end(data, ["method", "sampling"]).unstack("sampling")
    each = "; ".join(f"{lam}: {row['uniform']:.2e} and {row['importance']:.2e}" for lam, row in last.iterrows())
    said = [f"Relative gap after {data['step'].max():,} steps, uniform and importance sampling: {each}."]
    return said + [_compared(str(lam), part) for lam, part in data.groupby("method", sort=False)]


def _compared(label: str, data: Frame) -> str:
    """Compare speeds where both samplings still fall: the steps to a gap well above both ends."""
    lines = {str(name): line for name, line in data.groupby("sampling", sort=False)}
    mean = {name: line.groupby("step")["relative"].mean() for name, line in lines.items()}
    gamma = data.groupby("sampling")["gamma"].first()
    said = f"{label}: the steps of importance sampling are {gamma['importance'] / gamma['uniform']:.2f} times as long; "
    settled = f"At the end: {endings(lines)}."
    # A line that no longer falls passed ten times its end while it did.
    target = max(
        float(one.iloc[-1] if trend(lines[name]) == FALLING else 10 * one.tail(15).mean()) for name, one in mean.items()
    )
    steps = {name: crossing(one, target) for name, one in mean.items()}
    if np.isfinite([*steps.values()]).all() and target < 0.5:
        return (
            f"{said}uniform sampling takes {steps['uniform'] / steps['importance']:.2f} times as many steps to "
            f"{target:.1e} of the initial gap. {settled}"
        )
    return f"{said}which one falls faster is undecided. {settled}"


EXPERIMENTS.register(
    Experiment(
        "importance",
        "Importance sampling against uniform sampling",
        "Ridge regression on a symmetric matrix with eigenvalues {1, 10, uniform in [1, 2]} (n = d = 100, the paper's "
        "data), one component a step, constant steps of Theorem 3.2, 5 trials. Importance sampling draws component i "
        "with p_i proportional to L_i and weights its gradient by 1/(n p_i); the theorem allows it steps that are "
        "L_max / L_avg times as long.",
        measure,
        draw,
        findings,
    )
)
