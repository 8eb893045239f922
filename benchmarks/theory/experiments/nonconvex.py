"""Ours: gradients on functions that are not convex, without the PL inequality, against a guarantee in the horizon."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import solve
from ..bounds import stationarity
from ..figures import GUARANTEE, Frame, canvas, colors
from ..methods import make_methods
from ..problems import Problem, make_problem
from ..sampling import make_sampling
from ..verdicts import Power, fitted_power
from .base import EXPERIMENTS, Experiment

CASES = {"sines": "uniform", "two-layer": "uniform", "deep-linear": "nice"}
RULE = "af-nonconvex"


def measure(
    quick: bool,
    problem: Problem | None = None,
    sampling: str | None = None,
    lam: Sequence[float | str] | None = None,
    trials: int = 5,
    seed: int = 0,
) -> Frame:
    cases = [(make_problem(name), own) for name, own in list(CASES.items())[: 1 if quick else None]]
    if problem or sampling:
        cases = [(problem or make_problem("sines"), sampling or "uniform")]
    rows = []
    for of, name in cases:
        drawn = make_sampling(name, of)
        for horizon in (30, 100, 300) if quick else (100, 300, 1_000, 3_000, 10_000):
            methods = make_methods(of, drawn, RULE, horizon, lam, (0.0, 0.5, 1.0))
            record = np.unique(np.linspace(0, horizon - 1, 200).astype(np.int64))
            result = solve(of, drawn, methods, record=record, trials=trials, seed=seed)
            # The least over some of the steps is not below the least over all of them, which is what is guaranteed.
            least = np.sqrt(np.square(result.slope).mean(1)).min(-1)
            ends = [one.schedule(np.array([0.0, horizon - 1.0])) for one in methods]
            gamma, rho, values = (np.stack(arrays) for arrays in zip(*ends, strict=True))
            last = np.full(len(methods), float(horizon))
            bound = np.sqrt(stationarity(of, drawn, gamma[:, 0], rho[:, 0], values[:, 0], last))
            bound[values[:, 0] != values[:, 1]] = np.nan  # it is of a λ that stays
            shared = {"case": f"{of.name}, {name}", "horizon": horizon, "reach": result.farthest.max() / of.radius}
            rows += [
                {**shared, "method": one.label, "gradient": gradient, "bound": limit}
                for one, gradient, limit in zip(methods, least, bound, strict=True)
            ]
    return pd.DataFrame(rows)


def draw(data: Frame) -> Figure:
    cases = list(dict.fromkeys(data["case"]))
    figure = canvas(columns=len(cases), width=3.2, height=3.0)
    for axes, case in zip(figure.axes, cases, strict=True):
        axes.set(xscale="log", yscale="log", xlabel="horizon T", title=case)
        for (label, color), marker in zip(colors(data["method"]).items(), cycle("osD"), strict=False):
            line = data[(data["case"] == case) & (data["method"] == label)]
            axes.plot(line["horizon"], line["gradient"], marker, color=color, markersize=5, alpha=0.8, label=label)
            axes.plot(line["horizon"], line["bound"], **{**GUARANTEE, "color": color})
    figure.axes[0].set_ylabel("min over t < T of (E‖∇f(x_t)‖²)^½")
    figure.axes[0].plot([], [], label="guarantee", **GUARANTEE)
    figure.axes[0].legend(fontsize=7)
    return figure


def summary(data: Frame) -> Frame:
    """Return, for each line, the exponent of T in what was measured, with the upper end of its 95 % interval, that in
    the guarantee, and the share of it used."""
    rows = []
    for (case, method), line in data.groupby(["case", "method"], sort=False):
        held = line.dropna(subset="bound")
        enough = len(held) > 1
        nothing = Power(np.nan, np.nan, np.nan)
        measured, guaranteed = (
            fitted_power(held["horizon"], held[name]) if enough else nothing for name in ("gradient", "bound")
        )
        used = float((held["gradient"] / held["bound"]).max())
        rows.append(
            {
                "case": case,
                "method": method,
                "measured": measured.slope,
                "high": measured.high,
                "guaranteed": guaranteed.slope,
                "used": used,
            }
        )
    return pd.DataFrame(rows)


def findings(data: Frame) -> list[str]:
    every = summary(data)
    table = every.dropna()
    rows = ["| problem, sampling | line | measured power of T | guaranteed | largest share of the guarantee |"]
    rows += ["|---|---|---|---|---|"]
    rows += [
        f"| {row.case} | {row.method} | {row.measured:.2f} | {row.guaranteed:.2f} | {100 * row.used:.2g} % |"
        for row in table.itertuples()
    ]
    if not len(table):
        return [
            "Undecided: the condition of the guarantee holds at fewer than two horizons, or λ changes along the runs."
        ]
    inside = int((table["used"] <= 1).sum())
    undecided = len(every) - len(table)
    faster = [row for row in table.itertuples() if row.high < row.guaranteed]
    far = data[np.isfinite(data["reach"]) & (data["reach"] > 0)]["reach"].max()
    said = [
        "How the least gradient falls with the horizon, as a power of T:\n\n" + "\n".join(rows),
        f"It is inside the guarantee in {inside} of {len(table)} lines, at every horizon"
        + (f"; {undecided} are undecided. " if undecided else ". ")
        + f"It falls significantly faster than guaranteed (95 % intervals of the fits) in {len(faster)} of them.",
    ]
    if np.isfinite(far):
        held = "the runs stay inside it" if far < 1 else "some runs leave it, and prove nothing"
        said.append(f"The networks' constants hold on a ball; {held} (at most {far:.2f} of its radius).")
    return said


EXPERIMENTS.register(
    Experiment(
        "nonconvex",
        "Functions that are not convex, without PL",
        "Theorem 3.7 of the paper bounds E‖∇f‖ on non-convex functions; its condition on the steps is in no source at "
        "hand. We check a guarantee of the same form, derived in `benchmarks/theory/bounds.py` without the PL "
        "inequality, for γ = 1/(L√T), ρ = 1/(L T^¼) and every λ: the least gradient among the T steps of a run, "
        "5 trials. The guarantee tends to T to the power -1/4: E‖∇f‖ < ε after a number of steps of order ε to the "
        "power -4.",
        measure,
        draw,
        findings,
    )
)
