"""The paper's deterministic figure: a sweep of lambda."""

from matplotlib.figure import Figure

from ..batched_solver import solve
from ..figures import Frame, canvas, colors, draw_trials
from ..methods import Method, record_grid
from ..problems import published_deterministic
from ..sampling import make_sampling
from ..step_sizes import Constants
from .base import EXPERIMENTS, Experiment, at_end, tidy

LAMBDAS = [round(0.1 * k, 1) for k in range(11)]


def measure(quick: bool) -> Frame:
    problem, _ = published_deterministic()
    steps = 300 if quick else 10_000
    sampling = make_sampling("full", problem)
    c = Constants.of(problem, sampling, steps)
    methods = [Method("unified_sam", "theorem-3.2", c, lam, f"{lam:g}") for lam in LAMBDAS]
    return tidy(solve(problem, sampling, methods, record=record_grid(steps, 100, log=False)), methods)


def draw(data: Frame) -> Figure:
    figure = canvas(width=5.2, height=3.4)
    (axes,) = figure.axes
    axes.set(yscale="log", xlabel="step", ylabel="(f - f*) / (f0 - f*)", title="least squares, full batch")
    for label, color in colors(data["method"], "viridis").items():
        draw_trials(axes, data[data["method"] == label], label=str(label), color=color)
    axes.legend(title="λ", ncols=2, fontsize=7)
    return figure


def findings(data: Frame) -> list[str]:
    last = at_end(data, ["method"])
    stalled = last.drop("0")
    return [
        f"λ = 0 (USAM) is still converging linearly after {data['step'].max():,} steps, at {last['0']:.1e} "
        f"of the "
        "initial gap.",
        f"Every λ > 0 stops at a floor, from {stalled.min():.1e} (λ = {stalled.idxmin()}) to "
        f"{stalled.max():.1e} "
        f"(λ = {stalled.idxmax()}): the normalized part of the perturbation keeps the length λρ wherever "
        f"the iterate is.",
    ]


EXPERIMENTS.register(
    Experiment(
        "deterministic",
        "Deterministic sweep of λ",
        "Consistent least squares (n = d = 100, condition number 10, the paper's data) with full gradients and "
        "the constant "
        "steps of Theorem 3.2. The paper shows the first 10,000 steps for eleven values of λ.",
        measure,
        draw,
        findings,
    )
)
