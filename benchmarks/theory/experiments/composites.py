"""Composite problems: proximal SGD on a lasso and in a box, against its guarantee."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..figures import GUARANTEE, Frame, canvas, colors, draw_trials
from ..games.composite import box, lasso
from ..methods import record_grid
from ..sampling import make_sampling
from ..trend import endings
from .base import EXPERIMENTS, Experiment
from .games import guaranteed
from .guarantee import table_of_guarantees


def measure(
    quick: bool, sampling: str | None = None, steps: int | None = None, trials: int = 10, seed: int = 0
) -> Frame:
    length = steps or (200 if quick else 6_000)
    record = np.union1d(record_grid(length, 40), record_grid(length, 60, log=False))
    parts = []
    for problem in (lasso(), box()):
        for name in (sampling,) if sampling else ("uniform", "importance", "nice"):
            drawn = make_sampling(name, problem.smooth)
            longest = problem.step_size(drawn)
            for share in (1.0, 0.1):
                gamma = share * longest
                away = problem.solve(drawn, gamma, record, trials, seed)
                part = guaranteed(away, record, problem.guarantee(drawn, gamma))
                parts.append(part.assign(case=f"{problem.name}, {name}", method=f"{share:g}/(2ℒ)", gamma=gamma))
    return pd.concat(parts, ignore_index=True)


def draw(data: Frame) -> Figure:
    cases = list(dict.fromkeys(data["case"]))
    figure = canvas(columns=len(cases) // 2, rows=2, width=3.1, height=2.5)
    for axes, case in zip(figure.axes, cases, strict=True):
        part = data[data["case"] == case]
        axes.set(xscale="log", yscale="log", title=case, xlabel="step", ylabel="‖x - x*‖²")
        for label, color in colors(data["method"]).items():
            line = part[part["method"] == label]
            draw_trials(axes, line, y="gap", label=f"γ = {label}", color=color)
            first = line[line["trial"] == 0]
            axes.plot(first["step"], first["bound"], **{**GUARANTEE, "color": color})
    figure.axes[0].plot([], [], label="guarantee", **GUARANTEE)
    figure.axes[0].legend(fontsize=7)
    return figure


def findings(data: Frame) -> list[str]:
    lines = {f"{case}, γ = {label}": line for (case, label), line in data.groupby(["case", "method"], sort=False)}
    return [*table_of_guarantees(data, "‖x - x*‖²"), f"At the end: {endings(lines)}."]


EXPERIMENTS.register(
    Experiment(
        "composites",
        "Composite problems: lasso and box",
        "Ridge regression (n = 30, d = 10, r = 0.1) plus a multiple of ‖x‖₁ or within a box, by proximal SGD with γ = "
        "1/(2ℒ) and a tenth of it, ℒ the expected smoothness of the sampling. At the solution the gradient does not "
        "vanish, but the part of it that counts is its noise (Gorbunov et al. 2020; Beznosikov et al. 2023); dashed is "
        "the guarantee derived in `benchmarks/theory/games/composite.py`. 10 trials.",
        measure,
        draw,
        findings,
    )
)
