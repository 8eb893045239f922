"""Ours: how large the neighbourhood is that constant steps converge to, against gamma and rho."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import solve
from ..bounds import recursion
from ..figures import GUARANTEE, Frame, canvas, colors
from ..methods import make_methods
from ..problems import Problem
from ..problems.default import model_problem
from ..sampling import Sampling, make_sampling
from ..step_sizes import STEP_SIZES, Constants, fixed
from .base import EXPERIMENTS, Experiment


def measure(
    quick: bool,
    lam: Sequence[float | str] | None = None,
    rho: float = 0.2,
    trials: int = 4,
    seed: int = 0,
) -> Frame:
    of = model_problem()
    drawn = make_sampling("uniform", of)
    c = Constants.of(of, drawn, 1)
    gamma = float(STEP_SIZES.get("theorem-3.2")(c, np.zeros(1), np.ones(1))[0][0])
    count = 3 if quick else 9
    sweeps = {
        "gamma": [(gamma * 2.0**k, rho) for k in np.linspace(-9, 3, count)],
        "rho": [(gamma, size) for size in np.geomspace(1e-2, 10, count)],
    }
    rows = []
    for sweep, pairs in sweeps.items():
        for step, size in pairs:
            rows += [{"sweep": sweep, **row} for row in _settle(of, drawn, step, size, lam, trials, seed, quick)]
    return pd.DataFrame(rows)


def _settle(
    problem: Problem,
    sampling: Sampling,
    gamma: float,
    rho: float,
    lam: Sequence[float | str] | None,
    trials: int,
    seed: int,
    quick: bool,
) -> list[dict[str, float | str]]:
    """Run until the start is forgotten, then average f - f* over the second half of the run."""
    steps = int((20 if quick else 400) / (gamma * problem.mu))
    methods = make_methods(problem, sampling, fixed(gamma, rho), steps, lam, (0.0, 0.5, 1.0))
    record = np.linspace(steps // 2, steps, 200).astype(np.int64)
    gaps = solve(problem, sampling, methods, record=record, trials=trials, seed=seed).gap.mean(-1)
    rows = []
    for method, each in zip(methods, gaps, strict=True):
        ends = method.schedule(np.array([0.0, steps - 1.0]))
        stays = all(start == last for start, last in ends)
        limit = recursion(problem, sampling, *ends).neighbourhood()[0] if stays else np.nan
        shared = {"method": method.label, "gamma": gamma, "rho": rho, "bound": limit}
        rows += [{**shared, "trial": trial, "gap": gap} for trial, gap in enumerate(each)]
    return rows


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.0, height=3.3, sharey=True)
    for axes, (sweep, symbol) in zip(figure.axes, {"gamma": "γ", "rho": "ρ"}.items(), strict=True):
        part = data[data["sweep"] == sweep]
        other = "ρ" if sweep == "gamma" else "γ"
        value = part["rho" if sweep == "gamma" else "gamma"].iloc[0]
        axes.set(xscale="log", yscale="log", xlabel=symbol, title=f"{other} = {value:.3g}")
        for (label, color), marker in zip(colors(part["method"]).items(), cycle("osD"), strict=False):
            mean = part[part["method"] == label].groupby(sweep)[["gap", "bound"]].mean()
            axes.plot(mean.index, mean["gap"], marker=marker, markersize=3.5, color=color, label=str(label))
            axes.plot(mean.index, mean["bound"], **{**GUARANTEE, "color": color})
    figure.axes[0].set_ylabel("f - f*, in the long run")
    figure.axes[0].plot([], [], label="guarantee", **GUARANTEE)
    figure.axes[0].legend(fontsize=8)
    return figure


def findings(data: Frame) -> list[str]:
    mean = data.groupby(["sweep", "method", "gamma", "rho"], sort=False)[["gap", "bound"]].mean().reset_index()
    said = []
    for label, line in mean[mean["sweep"] == "gamma"].groupby("method", sort=False):
        by = line.sort_values("gamma")
        large, small = (_power(by.tail(4), "gamma"), _power(by.head(3), "gamma"))
        said.append(
            f"{label}: for large γ the neighbourhood goes as γ to the power {large:.2f}, for small γ as γ to the power "
            f"{small:.2f}: {_kind(small, by)}."
        )
    held = mean[np.isfinite(mean["bound"])]
    inside, used = int((held["gap"] <= held["bound"]).sum()), (held["gap"] / held["bound"]).max()
    by = {label: line.sort_values("rho") for label, line in mean[mean["sweep"] == "rho"].groupby("method", sort=False)}
    grown = "; ".join(f"{label}: {line['gap'].iloc[0]:.1e} to {line['gap'].iloc[-1]:.1e}" for label, line in by.items())
    swept = mean[mean["sweep"] == "rho"]["rho"]
    span = f"ρ from {swept.min():.2g} to {swept.max():.2g}"
    none = len(mean) - len(held)
    return [
        " ".join(said),
        f"Against {span} at fixed γ: {grown}.",
        f"Of {len(held)} neighbourhoods with a guarantee {inside} are inside it, and use at most {100 * used:.2g} % of "
        "it."
        + (
            f" For the other {none}, ρ is beyond the range in which the recursion contracts, or λ changes."
            if none
            else ""
        ),
    ]


def _kind(power: float, line: Frame) -> str:
    if not np.isfinite(power):
        return "undecided"
    if power < 0.2:
        return f"it tends to {line['gap'].iloc[0]:.1e} rather than to nothing"
    return "it shrinks to nothing" if power > 0.8 else "whether it shrinks to nothing is undecided"


def _power(line: Frame, parameter: str) -> float:
    """Slope of log f - f* against the log of the swept parameter."""
    if not (np.isfinite(line["gap"]) & (line["gap"] > 0)).all():
        return np.nan
    return float(np.polyfit(np.log(line[parameter]), np.log(line["gap"]), 1)[0])


EXPERIMENTS.register(
    Experiment(
        "neighbourhood",
        "Size of the neighbourhood against γ and ρ",
        "Ridge regression (n = 30, d = 10, r = 0.3), one component a step, 4 trials. Constant steps run until the "
        "start is forgotten; the mean of f - f* over the second half of the run is the size. Dashed: the fixed "
        "point of the one-step guarantee. At fixed ρ the mean of the perturbed gradients does not vanish at x* but "
        "beside it, for USAM too: where the components disagree, their gradients at x*, and so its perturbations, "
        "are not zero.",
        measure,
        draw,
        findings,
    )
)
