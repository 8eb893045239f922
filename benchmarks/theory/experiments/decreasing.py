"""The paper's figure of constant against decreasing steps."""

import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import solve
from ..figures import Frame, canvas, colors, draw_trials
from ..methods import Method, record_grid
from ..problems import published_decreasing
from ..sampling import make_sampling
from ..step_sizes import Constants
from .base import EXPERIMENTS, Experiment, at_end, tidy

STEPS = {"constant": "theorem-3.2", "decreasing": "theorem-3.5"}


def measure(quick: bool) -> Frame:
    problem, _ = published_decreasing()
    steps = 2_000 if quick else 1_000_000
    sampling = make_sampling("uniform", problem)
    c = Constants.of(problem, sampling, steps)
    parts = []
    for name, rule in STEPS.items():
        methods = [Method("unified_sam", rule, c, lam, f"{lam:g}") for lam in (0.0, 0.5, 1.0)]
        result = solve(problem, sampling, methods, record=record_grid(steps, 60, log=False), trials=5)
        parts.append(tidy(result, methods, steps=name))
    return pd.concat(parts, ignore_index=True)


def draw(data: Frame) -> Figure:
    figure = canvas(columns=3, width=2.9, sharey=True)
    for axes, (lam, part) in zip(figure.axes, data.groupby("method"), strict=True):
        axes.set(yscale="log", xlabel="step", title=f"λ = {lam}")
        for name, color in colors(data["steps"]).items():
            draw_trials(axes, part[part["steps"] == name], label=f"{name} steps", color=color)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    figure.axes[0].set_ylabel("(f - f*) / (f0 - f*)")
    figure.axes[0].legend()
    return figure


def findings(data: Frame) -> list[str]:
    last = at_end(data, ["method", "steps"])
    each = ", ".join(
        f"λ = {lam}: {last[lam, 'constant']:.2e} and {last[lam, 'decreasing']:.2e}" for lam in ("0", "0.5", "1")
    )
    return [
        f"Relative gap after {data['step'].max():,} steps, constant and decreasing: {each}.",
        "Constant steps settle, for λ = 1 highest; decreasing steps go on, at the same pace for every λ.",
    ]


EXPERIMENTS.register(
    Experiment(
        "decreasing",
        "Constant against decreasing steps",
        "Ridge regression with targets from a linear model (n = d = 100, condition number 10, r = 3/n, the "
        "paper's data), one "
        "component a step, 5 trials: the constant steps of Theorem 3.2 against the decreasing ones of Theorem 3.5.",
        measure,
        draw,
        findings,
    )
)
