"""Ours: gradients on functions that are not convex, without the PL inequality, against a guarantee in the horizon."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import solve
from ..bounds import stationarity
from ..figures import GUARANTEE, Frame, canvas, colors
from ..methods import Method
from ..problems import make_problem
from ..sampling import make_sampling
from ..step_sizes import STEP_SIZES, Constants
from .base import EXPERIMENTS, Experiment

LAMBDAS = (0.0, 0.5, 1.0)
CASES = {"sines": "uniform", "two-layer": "uniform", "deep-linear": "nice"}
RULE = "af-nonconvex"


def measure(quick: bool) -> Frame:
    rows = []
    for name, sampled in list(CASES.items())[: 1 if quick else None]:
        problem = make_problem(name)
        sampling = make_sampling(sampled, problem)
        for horizon in (30, 100, 300) if quick else (100, 300, 1_000, 3_000, 10_000):
            c = Constants.of(problem, sampling, horizon)
            methods = [Method("unified_sam", RULE, c, lam) for lam in LAMBDAS]
            record = np.unique(np.linspace(0, horizon - 1, 200).astype(np.int64))
            result = solve(problem, sampling, methods, record=record, trials=5)
            # The least over some of the steps is not below the least over all of them, which is what is guaranteed.
            least = np.sqrt(np.square(result.slope).mean(1)).min(-1)
            lam, t = np.array(LAMBDAS), np.zeros(3)
            bound = stationarity(problem, sampling, *STEP_SIZES.get(RULE)(c, t, lam), lam, np.full(3, float(horizon)))
            rows.append(
                pd.DataFrame(
                    {
                        "case": f"{name}, {sampled}",
                        "lam": LAMBDAS,
                        "horizon": horizon,
                        "gradient": least,
                        "bound": np.sqrt(bound),
                        "reach": result.farthest.max() / problem.radius,
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def draw(data: Frame) -> Figure:
    cases = list(dict.fromkeys(data["case"]))
    figure = canvas(columns=len(cases), width=3.2, height=3.0)
    for axes, case in zip(figure.axes, cases, strict=True):
        axes.set(xscale="log", yscale="log", xlabel="horizon T", title=case)
        for (lam, color), marker in zip(colors(LAMBDAS).items(), "osD", strict=True):
            line = data[(data["case"] == case) & (data["lam"] == lam)]
            axes.plot(
                line["horizon"], line["gradient"], marker, color=color, markersize=5, alpha=0.8, label=f"λ = {lam:g}"
            )
            axes.plot(line["horizon"], line["bound"], **{**GUARANTEE, "color": color})
    figure.axes[0].set_ylabel("min over t < T of (E‖∇f(x_t)‖²)^½")
    figure.axes[0].plot([], [], label="guarantee", **GUARANTEE)
    figure.axes[0].legend(fontsize=7)
    return figure


def summary(data: Frame) -> Frame:
    """Return, for each case and lambda, the exponent of T in what was measured and in the guarantee, and its use."""
    rows = []
    for (case, lam), line in data.groupby(["case", "lam"], sort=False):
        held = line.dropna(subset="bound")
        powers = [np.polyfit(np.log(held["horizon"]), np.log(held[name]), 1)[0] for name in ("gradient", "bound")]
        used = float((held["gradient"] / held["bound"]).max())
        rows.append({"case": case, "lam": lam, "measured": powers[0], "guaranteed": powers[1], "used": used})
    return pd.DataFrame(rows)


def findings(data: Frame) -> list[str]:
    table = summary(data)
    rows = ["| problem, sampling | λ | measured power of T | guaranteed | largest share of the guarantee |"]
    rows += ["|---|---|---|---|---|"]
    rows += [
        f"| {row.case} | {row.lam:g} | {row.measured:.2f} | {row.guaranteed:.2f} | {100 * row.used:.2g} % |"
        for row in table.itertuples()
    ]
    inside = int((table["used"] <= 1).sum())
    return [
        "How the least gradient falls with the horizon, as a power of T:\n\n" + "\n".join(rows),
        f"It is inside the guarantee in {inside} of {len(table)} lines, at every horizon. The guarantee "
        "tends to T to the power -1/4: E‖∇f‖ < ε after a number of steps of order ε to the power -4.",
        "The networks' constants hold on a ball; the runs stay inside it (at most "
        f"{data['reach'].max():.2f} of its radius).",
    ]


EXPERIMENTS.register(
    Experiment(
        "nonconvex",
        "Functions that are not convex, without PL",
        "Theorem 3.7 of the paper bounds E‖∇f‖ on non-convex functions; its condition on the steps is in no source at "
        "hand. We check a guarantee of the same form, derived in `benchmarks/theory/bounds.py` without the PL "
        "inequality, for γ = 1/(L√T), ρ = 1/(L T^¼) and every λ: the least gradient among the T steps of a run, "
        "5 trials.",
        measure,
        draw,
        findings,
    )
)
