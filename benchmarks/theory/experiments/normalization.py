"""Ours: when normalization stops convergence."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ..figures import Frame, canvas, colors, draw_trials
from ..methods import make_method, make_methods, record_grid
from ..problems import Problem, make_problem
from ..programs import COMPILED, LONGEST, TENSOR, program_of, run_methods
from ..sampling import make_sampling
from ..step_sizes import Constants, StepSize, fixed
from ..trend import ROUNDING
from .base import EXPERIMENTS, Experiment, ran_by, tidy

RHO = 0.1
FALLS = "ρ falling as 1/√t"


def vanishing(gamma: float, rho: float) -> StepSize:
    """Constant gamma with rho_t = rho / sqrt(1 + t / 100)."""

    def rule(c, t, lam):
        return np.full_like(t, gamma), rho / np.sqrt(1 + t / 100)

    return rule


def measure(
    quick: bool,
    problem: Problem | None = None,
    sampling: str = "uniform",
    variant: str = "unified_sam",
    hyper: Mapping[str, float | str] | None = None,
    lam: Sequence[float | str] | None = None,
    rho: float = RHO,
    steps: int | None = None,
    trials: int | None = None,
    seed: int = 0,
) -> Frame:
    of = problem or make_problem("least-squares", condition=3.0)
    drawn = make_sampling(sampling, of)
    program = program_of(of, drawn, variant, hyper)
    if quick and program == COMPILED and not steps:  # to compile takes longer than so few steps
        program = TENSOR
    length = steps or min(3_000 if quick else 20_000, LONGEST[program])
    gamma = 1 / (2 * Constants.of(of, drawn, length).L)
    lines = [
        (one, size)
        for size in rho * 10.0 ** np.arange(-2, 0.51, 0.5)
        for one in make_methods(
            *(of, drawn, fixed(gamma, size), length, lam, (0.0, 0.5, 1.0)), variant=variant, rho=size, hyper=hyper
        )
    ]
    last = lines[-1][0]
    # The last line again, with a radius that vanishes.
    falling = make_method(
        *(of, drawn, variant, vanishing(gamma, rho), length), lam=last.lam, hyper=hyper, label=f"{last.label}, {FALLS}"
    )
    methods, sizes = [*(one for one, _ in lines), falling], [*(size for _, size in lines), rho]
    record, count = record_grid(length, 60, log=False), trials or (3 if quick else 5)
    result = run_methods(of, drawn, methods, record=record, trials=count, seed=seed, program=program)
    data = tidy(result, methods, program=program, at=rho, interpolates=bool(abs(of.interpolation_gap) < 1e-12))
    return data.assign(rho=np.repeat(sizes, count * len(record)))


def floors(data: Frame) -> Frame:
    """Mean relative gap over the last third of the run, by rho (rows) and method."""
    late = data[data["step"] > data["step"].max() * 2 / 3]
    return late.groupby(["method", "rho"], sort=False)["relative"].mean().unstack("method").sort_index()


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.0, height=3.2)
    left, right = figure.axes
    at = data["at"].iloc[0]
    left.set(yscale="log", xlabel="step", ylabel="(f - f*) / (f0 - f*)", title=f"ρ = {at:g}")
    right.set(xscale="log", yscale="log", xlabel="ρ", title="mean gap over the last third")
    table = floors(data)
    for label, color in colors(data["method"]).items():
        part = data[data["method"] == label]
        draw_trials(left, part[np.isclose(part["rho"], at)], label=str(label), color=color)
        if not str(label).endswith(FALLS):
            right.plot(table.index, table[label], marker="o", markersize=3.5, color=color, label=str(label))
    left.legend(fontsize=7, loc="center right")
    left.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    return figure


def power(floor: Frame) -> float:
    """Return the slope of log floor against log rho, NaN where a floor is rounding or not finite."""
    if not np.isfinite(floor).all() or (floor < ROUNDING).any():
        return np.nan
    return float(np.polyfit(np.log(floor.index), np.log(floor), 1)[0])


def findings(data: Frame) -> list[str]:
    table, at = floors(data), data["at"].iloc[0]
    here = table[np.isclose(table.index, at)].iloc[0]
    swept = [str(label) for label in table if not str(label).endswith(FALLS)]
    ends = "; ".join(f"{label}: {here[label]:.1e}{_nature(here[label])}" for label in swept)
    ground = (
        "The data interpolate, so stochastic gradients vanish at the minimizer"
        if data["interpolates"].iloc[0]
        else "The data do not interpolate, so stochastic gradients do not vanish at the minimizer"
    )
    said = [f"{ground}. Mean relative gap over the last third of the run at ρ = {at:g}: {ends}."]
    powers = {label: power(table[label]) for label in swept}
    fitted = "; ".join(f"{label}: {value:.2f}" for label, value in powers.items() if np.isfinite(value))
    if fitted:
        reach = f"ρ from {table.index.min():g} to {table.index.max():.2g}"
        said.append(f"Power of ρ with which the floor grows, fitted on {reach}: {fitted}.")
    quadratic = [label for label, value in powers.items() if 1.8 <= value <= 2.2]
    if quadratic:
        said.append(
            f"A power of 2 ({', '.join(quadratic)}) is what a perturbation gives that keeps its length however small "
            "the gradient is: then the gradient at the perturbed point is of order ρ, and f - f* of order ρ²."
        )
    (falling,) = (str(label) for label in table if str(label).endswith(FALLS))
    ratio = here[falling] / here[falling.removesuffix(f", {FALLS}")]
    change = "lowers" if ratio < 0.8 else "raises" if ratio > 1.25 else "does not move"
    said.append(f"Letting ρ fall with the steps {change} the end of {falling.partition(', ')[0]}: {here[falling]:.1e}.")
    return [*said, ran_by(data)]


def _nature(floor: float) -> str:
    return " (rounding)" if floor < ROUNDING else " (diverged)" if not floor < 1 else ""


EXPERIMENTS.register(
    Experiment(
        "normalization",
        "When normalization stops convergence",
        "Consistent least squares with more unknowns than equations (n = 20, d = 30), one component a step, γ = "
        "1/(2 L_max) and constant ρ, 5 trials. λ = 0 is USAM, λ = 1 is SAM.",
        measure,
        draw,
        findings,
    )
)
