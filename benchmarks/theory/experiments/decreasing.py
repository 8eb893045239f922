"""The paper's figure of constant against decreasing steps."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import solve
from ..figures import Frame, canvas, colors, draw_trials
from ..methods import make_methods, read_step_size, record_grid
from ..problems import Problem, published_decreasing
from ..sampling import make_sampling
from ..step_sizes import decreasing
from ..trend import endings
from .base import EXPERIMENTS, Experiment, at_end, tidy


def measure(
    quick: bool,
    problem: Problem | None = None,
    sampling: str = "uniform",
    step_size: str = "theorem-3.2",
    lam: Sequence[float | str] | None = None,
    steps: int | None = None,
    trials: int = 5,
    seed: int = 0,
) -> Frame:
    of = problem or published_decreasing().problem
    drawn = make_sampling(sampling, of)
    length = steps or (2_000 if quick else 1_000_000)
    rule = read_step_size(step_size, "unified_sam")
    parts = []
    for name, one in {"constant": rule, "decreasing": decreasing(rule)}.items():
        methods = make_methods(of, drawn, one, length, lam, (0.0, 0.5, 1.0))
        record = record_grid(length, 60, log=False)
        result = solve(of, drawn, methods, record=record, trials=trials, seed=seed)
        parts.append(tidy(result, methods, steps=name))
    return pd.concat(parts, ignore_index=True)


def draw(data: Frame) -> Figure:
    lines = data.groupby("method", sort=False)
    figure = canvas(columns=lines.ngroups, width=2.9, sharey=True)
    for axes, (label, part) in zip(figure.axes, lines, strict=True):
        axes.set(yscale="log", xlabel="step", title=label)
        for name, color in colors(data["steps"]).items():
            draw_trials(axes, part[part["steps"] == name], label=f"{name} steps", color=color)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    figure.axes[0].set_ylabel("(f - f*) / (f0 - f*)")
    figure.axes[0].legend()
    return figure


def findings(data: Frame) -> list[str]:
    last = at_end(data, ["method", "steps"]).unstack("steps")
    each = "; ".join(f"{lam}: {row['constant']:.2e} and {row['decreasing']:.2e}" for lam, row in last.iterrows())
    kinds = {
        name: endings({str(lam): line for lam, line in part.groupby("method", sort=False)})
        for name, part in data.groupby("steps", sort=False)
    }
    lower = [str(lam) for lam, row in last.iterrows() if row["decreasing"] < row["constant"]]
    ends = last["decreasing"]
    apart = (
        f"within {100 * (ends.max() / ends.min() - 1):.2g} % of each other" if np.isfinite(ends).all() else "not finite"
    )
    return [
        f"Relative gap after {data['step'].max():,} steps, constant and decreasing: {each}.",
        f"At the end, constant steps: {kinds['constant']}; decreasing steps: {kinds['decreasing']}. Decreasing steps "
        f"end lower for {', '.join(lower) or 'no λ'}, of {len(last)} lines; constant ones end highest for "
        f"{last['constant'].idxmax()}. The ends of decreasing steps are {apart}.",
    ]


EXPERIMENTS.register(
    Experiment(
        "decreasing",
        "Constant against decreasing steps",
        "Ridge regression with targets from a linear model (n = d = 100, condition number 10, r = 3/n, the paper's "
        "data), one component a step, 5 trials: the constant steps of Theorem 3.2 against the decreasing ones of "
        "Theorem 3.5. With `--step-size` other constant steps, and the decreasing ones that start from them.",
        measure,
        draw,
        findings,
    )
)
