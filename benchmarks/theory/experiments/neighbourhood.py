"""Ours: how large the neighbourhood is that constant steps converge to, against gamma and rho."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import solve
from ..bounds import recursion
from ..figures import GUARANTEE, Frame, canvas, colors
from ..methods import Method
from ..problems import Problem
from ..problems.default import model_problem
from ..sampling import Sampling, make_sampling
from ..step_sizes import STEP_SIZES, Constants, fixed
from .base import EXPERIMENTS, Experiment

LAMBDAS = (0.0, 0.5, 1.0)


def measure(quick: bool) -> Frame:
    problem = model_problem()
    sampling = make_sampling("uniform", problem)
    c = Constants.of(problem, sampling, 1)
    gamma = float(STEP_SIZES.get("theorem-3.2")(c, np.zeros(1), np.ones(1))[0][0])
    count = 3 if quick else 9
    by_gamma = _sweep(problem, sampling, c, [(gamma * 2.0**k, 0.2) for k in np.linspace(-9, 3, count)], quick)
    by_rho = _sweep(problem, sampling, c, [(gamma, rho) for rho in np.geomspace(1e-2, 10, count)], quick)
    return pd.concat([by_gamma.assign(sweep="gamma"), by_rho.assign(sweep="rho")], ignore_index=True)


def _sweep(
    problem: Problem, sampling: Sampling, c: Constants, pairs: Sequence[tuple[float, float]], quick: bool
) -> Frame:
    """Run every (gamma, rho) until the start is forgotten, then average f - f* over the second half of the run."""
    rows = []
    for gamma, rho in pairs:
        steps = int((20 if quick else 400) / (gamma * problem.mu))
        methods = [Method("unified_sam", fixed(gamma, rho), c, lam) for lam in LAMBDAS]
        record = np.linspace(steps // 2, steps, 200).astype(np.int64)
        result = solve(problem, sampling, methods, record=record, trials=4)
        arrays = (np.full(3, gamma), np.full(3, rho), np.array(LAMBDAS))
        bounds = recursion(problem, sampling, *arrays).neighbourhood()
        rows += [
            {"lam": lam, "gamma": gamma, "rho": rho, "trial": trial, "gap": gap, "bound": bound}
            for lam, bound, trials in zip(LAMBDAS, bounds, result.gap.mean(-1), strict=True)
            for trial, gap in enumerate(trials)
        ]
    return pd.DataFrame(rows)


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.0, height=3.3, sharey=True)
    for axes, (sweep, symbol) in zip(figure.axes, {"gamma": "γ", "rho": "ρ"}.items(), strict=True):
        part = data[data["sweep"] == sweep]
        other = "ρ" if sweep == "gamma" else "γ"
        value = part["rho" if sweep == "gamma" else "gamma"].iloc[0]
        axes.set(xscale="log", yscale="log", xlabel=symbol, title=f"{other} = {value:.3g}")
        for (lam, color), marker in zip(colors(LAMBDAS).items(), "osD", strict=True):
            mean = part[part["lam"] == lam].groupby(sweep)[["gap", "bound"]].mean()
            axes.plot(mean.index, mean["gap"], marker=marker, markersize=3.5, color=color, label=f"λ = {lam:g}")
            axes.plot(mean.index, mean["bound"], **{**GUARANTEE, "color": color})
    figure.axes[0].set_ylabel("f - f*, in the long run")
    figure.axes[0].plot([], [], label="guarantee", **GUARANTEE)
    figure.axes[0].legend(fontsize=8)
    return figure


def findings(data: Frame) -> list[str]:
    by = dict(iter(data.groupby(["sweep", "lam"])))
    used = (data["gap"] / data["bound"]).max()
    mean = {key: part.groupby(key[0])["gap"].mean() for key, part in by.items()}
    usam, sam = mean["gamma", 0.0], mean["gamma", 1.0]
    rho = mean["rho", 1.0]
    return [
        f"For large γ the neighbourhood shrinks with γ (USAM: as γ to the power "
        f"{_power(usam.tail(4)):.2f}). At fixed ρ it "
        f"does not shrink to nothing: as γ goes to zero it tends to {usam.iloc[0]:.1e} for USAM and "
        f"{sam.iloc[0]:.1e} for "
        "SAM. The mean of the perturbed gradients vanishes beside x*, for USAM too: where the components "
        "disagree, their "
        "gradients at x*, and so its perturbations, are not zero.",
        f"Against ρ at fixed γ, SAM's goes from {rho.iloc[0]:.1e} to {rho.iloc[-1]:.1e}: below ρ = 0.1 the "
        f"gradient noise "
        "hides the perturbation.",
        f"Every measured neighbourhood is inside its guarantee, and uses at most {100 * used:.0f} % of it. "
        f"Where a line "
        "has no dashed companion, ρ is beyond the range in which the recursion contracts.",
    ]


def _power(mean: Frame) -> float:
    """Slope of log f - f* against the log of the swept parameter."""
    return float(np.polyfit(np.log(mean.index), np.log(mean), 1)[0])


EXPERIMENTS.register(
    Experiment(
        "neighbourhood",
        "Size of the neighbourhood against γ and ρ",
        "Ridge regression (n = 30, d = 10, r = 0.3), one component a step, 4 trials. Constant steps run until "
        "the start is "
        "forgotten; the mean of f - f* over the second half of the run is the size. Dashed: the fixed point of "
        "the one-step "
        "guarantee.",
        measure,
        draw,
        findings,
    )
)
