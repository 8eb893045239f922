"""SGD and earlier step sizes for USAM, on the data of the paper's SGD figure."""

from matplotlib.figure import Figure

from ..batched_solver import solve
from ..figures import Frame, canvas, colors, draw_trials
from ..methods import Method, record_grid
from ..problems import published_logistic
from ..sampling import make_sampling
from ..step_sizes import Constants
from .base import EXPERIMENTS, Experiment, at_end, tidy

LINES = [
    ("sgd", "sgd-half", None, "SGD, γ = 1/(2L)"),
    ("sgd", "sgd-constant", None, "SGD, γ = μ/(L(μ+2L))"),
    ("sgd", "sgd-decreasing", None, "SGD, decreasing"),
    ("usam", "af-pl", None, "USAM, A&F, PL"),
    ("usam", "af-nonconvex", None, "USAM, A&F, non-convex"),
    ("unified_sam", "theorem-3.2", 0.5, "Unified SAM, λ = .5, Thm 3.2"),
    ("unified_sam", "theorem-3.5", 0.5, "Unified SAM, λ = .5, Thm 3.5"),
]


def measure(quick: bool) -> Frame:
    problem, _ = published_logistic()
    steps = 2_000 if quick else 4_000_000
    sampling = make_sampling("uniform", problem)
    c = Constants.of(problem, sampling, steps)
    methods = [Method(variant, rule, c, lam, label) for variant, rule, lam, label in LINES]
    return tidy(solve(problem, sampling, methods, record=record_grid(steps, 70), trials=3), methods)


def draw(data: Frame) -> Figure:
    figure = canvas(width=6.4, height=3.6)
    (axes,) = figure.axes
    axes.set(xscale="log", yscale="log", xlabel="step", ylabel="(f - f*) / (f0 - f*)", title="logistic regression")
    for label, color in colors(data["method"]).items():
        dash = "--" if str(label).startswith("SGD") else (0, (1, 1)) if str(label).endswith("3.5") else "-"
        draw_trials(axes, data[data["method"] == label], label=str(label), color=color, linestyle=dash)
    axes.axvline(40_000, color="0.6", linewidth=0.8)
    axes.annotate(
        "the paper's 40,000 steps", (40_000, 1.0), (-4, 2), textcoords="offset points", ha="right", fontsize=7
    )
    axes.legend(fontsize=7, loc="lower left")
    return figure


def findings(data: Frame) -> list[str]:
    last = at_end(data, ["method"])
    near = data[data["step"] == data.loc[(data["step"] - 40_000).abs().idxmin(), "step"]]
    early = near.groupby("method", sort=False)["relative"].mean()
    rows = ["| step size | about 40,000 steps | the end |", "|---|---|---|"]
    rows += [f"| {label} | {early[label]:.2e} | {last[label]:.2e} |" for label in last.index]
    return [
        f"Relative gap, mean of 3 trials, up to {data['step'].max():,} steps:\n\n" + "\n".join(rows),
        "Steps with a PL guarantee on this problem (μ/L = 7e-4) are far smaller than 1/(2L) and are still "
        "on their way "
        "when the long ones have settled: a guarantee is not a recommendation.",
    ]


EXPERIMENTS.register(
    Experiment(
        "baselines",
        "SGD and earlier step sizes",
        "Logistic regression (n = 200, d = 10, r = 1/n, the paper's data with a loss and a gradient that "
        "agree), one component "
        "a step, 3 trials: constant and decreasing SGD, the step sizes of Andriushchenko and Flammarion (2022) "
        "for USAM, and "
        "those of the Unified SAM paper.",
        measure,
        draw,
        findings,
    )
)
