"""SGD and earlier step sizes for USAM, on the data of the paper's SGD figure."""

import numpy as np
from matplotlib.figure import Figure

from ..batched_solver import solve
from ..figures import Frame, canvas, colors, draw_trials
from ..methods import make_method, record_grid
from ..problems import Problem, published_logistic
from ..sampling import make_sampling
from ..trend import endings
from .base import EXPERIMENTS, Experiment, at_end, tidy

LINES = [
    ("sgd", "sgd-half", None, "SGD, γ = 1/(2L)"),
    ("sgd", "sgd-constant", None, "SGD, γ = μ/(L(μ+2L))"),
    ("sgd", "sgd-decreasing", None, "SGD, decreasing from 1/(2L)"),
    ("sgd", "sgd-constant-decreasing", None, "SGD, decreasing from μ/(L(μ+2L))"),
    ("usam", "af-pl", None, "USAM, A&F, PL"),
    ("usam", "af-nonconvex", None, "USAM, A&F, non-convex"),
    ("unified_sam", "theorem-3.2", 0.5, "Unified SAM, λ = .5, Thm 3.2"),
    ("unified_sam", "theorem-3.5", 0.5, "Unified SAM, λ = .5, Thm 3.5"),
]
PUBLISHED = 40_000
"""Steps of the paper's figure."""


def measure(
    quick: bool,
    problem: Problem | None = None,
    sampling: str = "uniform",
    steps: int | None = None,
    trials: int = 3,
    seed: int = 0,
) -> Frame:
    of = problem or published_logistic().problem
    drawn = make_sampling(sampling, of)
    length = steps or (2_000 if quick else 4_000_000)
    methods = [
        make_method(of, drawn, variant, rule, length, lam=lam, label=label) for variant, rule, lam, label in LINES
    ]
    record = np.union1d(record_grid(length, 70), record_grid(length, 40, log=False))
    return tidy(solve(of, drawn, methods, record=record, trials=trials, seed=seed), methods)


def draw(data: Frame) -> Figure:
    figure = canvas(width=6.4, height=3.8)
    (axes,) = figure.axes
    axes.set(xscale="log", yscale="log", xlabel="step", ylabel="(f - f*) / (f0 - f*)")
    for label, color in colors(data["method"]).items():
        dash = "--" if str(label).startswith("SGD") else (0, (1, 1)) if str(label).endswith("3.5") else "-"
        draw_trials(axes, data[data["method"] == label], label=str(label), color=color, linestyle=dash)
    if data["step"].max() > PUBLISHED:
        axes.axvline(PUBLISHED, color="0.6", linewidth=0.8)
        axes.annotate(
            "the paper's 40,000 steps", (PUBLISHED, 1.0), (-4, 2), textcoords="offset points", ha="right", fontsize=7
        )
    axes.legend(fontsize=7, loc="lower left")
    return figure


def findings(data: Frame) -> list[str]:
    last = at_end(data, ["method"])
    at = data.loc[(data["step"] - PUBLISHED).abs().idxmin(), "step"]
    early = data[data["step"] == at].groupby("method", sort=False)["relative"].mean()
    rows = [f"| step size | after {at:,} steps | after {data['step'].max():,} steps |", "|---|---|---|"]
    rows += [f"| {label} | {early[label]:.2e} | {last[label]:.2e} |" for label in last.index]
    lines = {str(label): line for label, line in data.groupby("method", sort=False)}
    swap = early.idxmin() != last.idxmin()
    return [
        f"Relative gap, mean of {data['trial'].nunique()} trials:\n\n" + "\n".join(rows),
        f"At the end: {endings(lines)}.",
        f"Lowest after {at:,} steps is {early.idxmin()}, at the end {last.idxmin()}"
        + (": the order depends on the length of the run." if swap else "."),
    ]


EXPERIMENTS.register(
    Experiment(
        "baselines",
        "SGD and earlier step sizes",
        "Logistic regression (n = 200, d = 10, r = 1/n, the paper's data with a loss and a gradient that agree), one "
        "component a step, 3 trials: constant and decreasing SGD with both of the paper's constant steps, the step "
        "sizes of Andriushchenko and Flammarion (2022) for USAM, and those of the Unified SAM paper. Here μ/L is 7e-4, "
        "and steps with a PL guarantee are far smaller than 1/(2L): a guarantee is not a recommendation.",
        measure,
        draw,
        findings,
    )
)
