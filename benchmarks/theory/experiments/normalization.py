"""Ours: when normalization stops convergence."""

import numpy as np
from matplotlib.figure import Figure

from ..batched_solver import solve
from ..figures import Frame, canvas, colors, draw_trials
from ..methods import Method, record_grid
from ..problems import make_problem
from ..sampling import make_sampling
from ..step_sizes import Constants, StepSize, fixed
from .base import EXPERIMENTS, Experiment, tidy

RHO = 0.1
LINES = {"USAM (λ = 0)": 0.0, "λ = 0.5": 0.5, "SAM (λ = 1)": 1.0}


def vanishing(gamma: float, rho: float) -> StepSize:
    """Constant gamma with rho_t = rho / sqrt(1 + t / 100)."""

    def rule(c, t, lam):
        return np.full_like(t, gamma), rho / np.sqrt(1 + t / 100)

    return rule


def measure(quick: bool) -> Frame:
    problem = make_problem("least-squares", condition=3.0)
    sampling = make_sampling("uniform", problem)
    steps = 3_000 if quick else 20_000
    c = Constants.of(problem, sampling, steps)
    gamma = 1 / (2 * c.L)
    methods = [
        Method("unified_sam", fixed(gamma, rho), c, lam, f"{label} @ {rho:g}")
        for label, lam in LINES.items()
        for rho in RHO * 10.0 ** np.arange(-2, 0.51, 0.5)
    ]
    methods.append(Method("sam", vanishing(gamma, RHO), c, label=f"SAM, ρ falling as 1/√t @ {RHO:g}"))
    result = solve(problem, sampling, methods, record=record_grid(steps, 60, log=False), trials=3 if quick else 5)
    data = tidy(result, methods)
    parts = data["method"].str.rsplit(" @ ", n=1, expand=True)
    return data.assign(method=parts[0], rho=parts[1].astype(float))


def floors(data: Frame) -> Frame:
    """Mean relative gap over the last third of the run, by method and rho."""
    late = data[data["step"] > data["step"].max() * 2 / 3]
    return late.groupby(["method", "rho"], sort=False)["relative"].mean().unstack("method")


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.0, height=3.2)
    left, right = figure.axes
    left.set(yscale="log", xlabel="step", ylabel="(f - f*) / (f0 - f*)", title=f"ρ = {RHO:g}")
    right.set(xscale="log", yscale="log", xlabel="ρ", title="mean gap over the last third")
    for label, color in colors(data["method"]).items():
        part = data[data["method"] == label]
        draw_trials(left, part[np.isclose(part["rho"], RHO)], label=str(label), color=color)
    table = floors(data)
    for label, color in list(colors(data["method"]).items())[:3]:
        right.plot(table.index, table[label], marker="o", markersize=3.5, color=color, label=str(label))
    left.legend(fontsize=7, loc="center right")
    left.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    return figure


def findings(data: Frame) -> list[str]:
    table = floors(data)
    sam = table["SAM (λ = 1)"].dropna()
    slope = np.polyfit(np.log(sam.index), np.log(sam), 1)[0]
    at = {label: float(table[label].loc[np.isclose(table.index, RHO)].iloc[0]) for label in table}
    return [
        f"The data interpolate, so stochastic gradients vanish at the minimizer. At ρ = {RHO:g} USAM reaches "
        f"{at['USAM (λ = 0)']:.1e} of the initial gap, which is rounding; SAM stops at {at['SAM (λ = 1)']:.1e} and "
        f"λ = 0.5 at "
        f"{at['λ = 0.5']:.1e}.",
        f"SAM's floor grows as ρ to the power {slope:.2f} (fitted on ρ from {sam.index.min():g} to "
        f"{sam.index.max():.2g}): "
        "its perturbation keeps the length ρ however small the gradient is, so the gradient at the "
        "perturbed point "
        "does not vanish.",
        f"Letting ρ fall with the steps removes the floor: SAM then reaches "
        f"{at['SAM, ρ falling as 1/√t']:.1e}, limited "
        "by ρ alone.",
    ]


EXPERIMENTS.register(
    Experiment(
        "normalization",
        "When normalization stops convergence",
        "Consistent least squares with more unknowns than equations (n = 20, d = 30), one component a step, γ = "
        "1/(2 L_max) "
        "and constant ρ, 5 trials.",
        measure,
        draw,
        findings,
    )
)
