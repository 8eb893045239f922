"""The paper's deterministic figure: a sweep of lambda."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from ..batched_solver import solve
from ..figures import Frame, canvas, colors, draw_trials
from ..methods import make_methods, record_grid
from ..problems import Problem, published_deterministic
from ..sampling import make_sampling
from ..trend import FALLING, SETTLED, endings, trend
from .base import EXPERIMENTS, Experiment, at_end, tidy

LAMBDAS = tuple(round(0.1 * k, 1) for k in range(11))


def measure(
    quick: bool,
    problem: Problem | None = None,
    step_size: str = "theorem-3.2",
    lam: Sequence[float | str] | None = None,
    rho: float | None = None,
    steps: int | None = None,
) -> Frame:
    of = problem or published_deterministic().problem
    drawn = make_sampling("full", of)
    length = steps or (300 if quick else 10_000)
    methods = make_methods(of, drawn, step_size, length, lam, LAMBDAS, rho=rho)
    return tidy(solve(of, drawn, methods, record=record_grid(length, 100, log=False)), methods)


def draw(data: Frame) -> Figure:
    figure = canvas(width=5.2, height=3.4)
    (axes,) = figure.axes
    axes.set(yscale="log", xlabel="step", ylabel="(f - f*) / (f0 - f*)", title="full batch")
    for label, color in colors(data["method"], "viridis").items():
        draw_trials(axes, data[data["method"] == label], label=str(label), color=color)
    axes.legend(ncols=2, fontsize=7)
    return figure


def findings(data: Frame) -> list[str]:
    lines = {str(label): line for label, line in data.groupby("method", sort=False)}
    last = at_end(data, ["method"])
    stopped = last[[label for label, line in lines.items() if trend(line) == SETTLED]]
    said = [f"After {data['step'].max():,} steps: {endings(lines)}."]
    if "λ = 0" in lines and trend(lines["λ = 0"]) == FALLING:
        said.append(f"λ = 0 (USAM) still converges, at {last['λ = 0']:.1e} of the initial gap.")
    if len(stopped):
        said.append(
            f"{len(stopped)} of {len(last)} lines have stopped at a floor, from {stopped.min():.1e} "
            f"({stopped.idxmin()}) to {stopped.max():.1e} ({stopped.idxmax()})."
        )
    if len(stopped) and set(stopped.index) == {label for label in lines if label != "λ = 0"}:
        said.append(
            "They are the lines with λ > 0: the normalized part of the perturbation keeps the length λρ wherever the "
            "iterate is."
        )
    return said


EXPERIMENTS.register(
    Experiment(
        "deterministic",
        "Deterministic sweep of λ",
        "Consistent least squares (n = d = 100, condition number 10, the paper's data) with full gradients and the "
        "constant steps of Theorem 3.2. The paper shows the first 10,000 steps for eleven values of λ.",
        measure,
        draw,
        findings,
    )
)
