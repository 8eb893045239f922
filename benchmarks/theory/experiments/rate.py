"""Ours: the rate of decreasing steps, as a slope with its confidence interval."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from ..batched_solver import solve
from ..bounds import curve, recursion
from ..figures import GUARANTEE, Frame, canvas, colors, draw_trials
from ..methods import Method, record_grid
from ..problems import Problem, make_problem
from ..problems.default import model_problem
from ..sampling import make_sampling
from ..step_sizes import Constants
from .base import EXPERIMENTS, Experiment, tidy

LAMBDAS = (0.0, 0.5, 1.0, "1/t", "1-1/t")


def _cases(quick: bool) -> list[tuple[str, Problem, str, int, int]]:
    """Label, problem, sampling, steps, trials."""
    if quick:
        return [("ridge, uniform", model_problem(), "uniform", 20_000, 4)]
    return [
        ("ridge, uniform", model_problem(), "uniform", 1_000_000, 20),
        ("ridge, importance", model_problem(), "importance", 1_000_000, 20),
        ("quadratics, τ-nice", make_problem("quadratics"), "nice", 30_000, 20),
        ("sines (not convex), τ-nice", make_problem("sines"), "nice", 150_000, 20),
    ]


def measure(quick: bool) -> Frame:
    parts = []
    for label, problem, name, steps, trials in _cases(quick):
        sampling = make_sampling(name, problem)
        c = Constants.of(problem, sampling, steps)
        methods = [Method("unified_sam", "theorem-3.5", c, lam, str(lam)) for lam in LAMBDAS]
        record = record_grid(steps, 40)
        result = solve(problem, sampling, methods, record=record, trials=trials)
        # The schedule leaves its constant phase where (2t + 1) / ((t + 1)^2 mu) falls below gamma*.
        data = tidy(result, methods, case=label, turn=16 * c.L * c.growth / c.mu**2)
        t, start = np.arange(steps, dtype=np.float64), float(problem.gap(problem.x0))
        for method in methods:
            bound = curve(start, recursion(problem, sampling, *method.schedule(t)))[record]
            data.loc[data["method"] == method.label, "bound"] = np.tile(bound, trials)
        parts.append(data)
    return pd.concat(parts, ignore_index=True).drop(columns="relative")


def slopes(data: Frame) -> Frame:
    """Fit log gap against log step for every trial, from twice the end of the constant phase on.

    Returns:
        One row for each case and lambda: mean slope over trials, and its 95 % t-interval.
    """
    late = data[data["step"] >= 2 * data["turn"]]
    each = late.groupby(["case", "method", "trial"], sort=False).apply(
        lambda line: np.polyfit(np.log(line["step"]), np.log(line["gap"]), 1)[0]
    )
    rows = []
    for (case, lam), group in each.groupby(["case", "method"], sort=False):
        half = stats.t.ppf(0.975, len(group) - 1) * group.std(ddof=1) / np.sqrt(len(group))
        mean = float(group.mean())
        rows.append({"case": case, "lam": lam, "slope": mean, "low": mean - half, "high": mean + half})
    return pd.DataFrame(rows)


def _means(data: Frame) -> list[Frame]:
    """Mean over trials of gap and guarantee after the start, for each case and lambda."""
    late = data[data["step"] > 0]
    return [line.groupby("step")[["gap", "bound"]].mean() for _, line in late.groupby(["case", "method"], sort=False)]


def draw(data: Frame) -> Figure:
    cases = list(dict.fromkeys(data["case"]))
    figure = canvas(columns=2, rows=(len(cases) + 1) // 2, width=4.0, height=2.9)
    for axes, case in zip(figure.axes, cases, strict=False):
        part = data[data["case"] == case]
        axes.set(xscale="log", yscale="log", title=case, xlabel="step", ylabel="f - f*")
        for label, color in colors(part["method"]).items():
            line = part[part["method"] == label]
            draw_trials(axes, line, y="gap", label=f"λ = {label}", color=color)
            first = line[(line["trial"] == 0) & (line["step"] > 0)]
            axes.plot(first["step"], first["bound"], **{**GUARANTEE, "color": color})
        turn, last = part["turn"].iloc[0], part["step"].max()
        at = part[part["step"] == last]["gap"].mean() * 5
        axes.plot(
            [2 * turn, last],
            [at * last / (2 * turn), at],
            color="0.25",
            linewidth=1,
            linestyle=":",
            label="slope -1",
        )
    figure.axes[0].plot([], [], label="guarantee", **GUARANTEE)
    figure.axes[0].legend(fontsize=7)
    for axes in figure.axes[len(cases) :]:
        axes.set_visible(False)
    return figure


def findings(data: Frame) -> list[str]:
    table = slopes(data)
    rows = ["| problem, sampling | λ | slope | 95 % interval |", "|---|---|---|---|"]
    rows += [
        f"| {row.case} | {row.lam} | {row.slope:.3f} | [{row.low:.3f}, {row.high:.3f}] |" for row in table.itertuples()
    ]
    slow = table[table["low"] > -1]
    covers = table[(table["low"] <= -1) & (table["high"] >= -1)]
    verdict = (
        "No slope is significantly above -1, as the theorem's O(1/t) demands"
        if slow.empty
        else "Significantly slower than 1/t over the fitted range: "
        + "; ".join(f"{row.case}, λ = {row.lam} ({row.slope:.3f})" for row in slow.itertuples())
    )
    inside = [bool((line["gap"] <= line["bound"]).all()) for line in _means(data)]
    used = max(float((line["gap"] / line["bound"]).iloc[-1]) for line in _means(data))
    return [
        "Slope of log(f - f*) against log t after the constant phase, mean over the trials' own "
        "fits:\n\n" + "\n".join(rows),
        f"{verdict}. The interval covers -1 in {len(covers)} of {len(table)} cases (λ shares the samples of its "
        f"problem, so only the {table['case'].nunique()} problems are independent).",
        "Dashed is the guarantee of the one-step recursion in `benchmarks/theory/bounds.py` along the same schedule, "
        "which is O(1/t) too. The mean over trials is inside it at every recorded step after the start in "
        f"{sum(inside)} of {len(inside)} cases, and at the end at most {100 * used:.2g} % of it.",
        "λ makes no visible difference: with ρ_t = 1/(2t+1) the perturbation is gone long before the noise is.",
    ]


EXPERIMENTS.register(
    Experiment(
        "rate",
        "Decreasing steps: is it 1/t?",
        "Theorem 3.5 promises f - f* = O(1/t) for decreasing steps. The slope is fitted from twice the end of "
        "the schedule's "
        "constant phase to the end of the run, for five λ, 20 trials.",
        measure,
        draw,
        findings,
    )
)
