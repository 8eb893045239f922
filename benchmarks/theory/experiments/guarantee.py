"""Ours: constant steps on every kind of problem, against what is guaranteed."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import has_compiled_path, solve
from ..bounds import Recursion, curve, recursion
from ..figures import GUARANTEE, Frame, canvas, colors, draw_trials
from ..methods import Method, record_grid
from ..problems import Problem, make_problem
from ..problems.default import model_problem
from ..sampling import make_sampling
from ..step_sizes import STEP_SIZES, Constants
from .base import EXPERIMENTS, Experiment, tidy

LAMBDAS = (0.0, 0.5, 1.0)


class Case(NamedTuple):
    """A panel of the figure: a problem, the name of a sampling, and the number of trials."""

    problem: Problem
    sampling: str
    trials: int


def _cases(quick: bool) -> list[Case]:
    if quick:
        return [Case(model_problem(), "uniform", 3), Case(make_problem("deep-linear"), "full", 1)]
    return [
        Case(make_problem("least-squares", condition=3.0), "uniform", 5),
        Case(model_problem(), "uniform", 5),
        Case(make_problem("logistic", regularization=0.1), "importance", 5),
        Case(make_problem("symmetric"), "importance", 5),
        Case(make_problem("quadratics"), "nice", 5),
        Case(make_problem("sines"), "partition", 5),
        Case(make_problem("diabetes"), "full", 1),
        Case(make_problem("two-layer"), "full", 1),
        Case(make_problem("deep-linear"), "full", 1),
    ]


def measure(quick: bool) -> Frame:
    return _hold(_cases(quick), quick)


def measure_on(problem: Problem, quick: bool) -> Frame:
    cases = [Case(problem, name, 3) for name in ("uniform", "importance", "nice")]
    return _hold([*cases, Case(problem, "full", 1)], quick)


def _hold(cases: list[Case], quick: bool) -> Frame:
    parts = []
    for problem, name, trials in cases:
        sampling = make_sampling(name, problem)
        c = Constants.of(problem, sampling, 1)
        gamma = float(STEP_SIZES.get("theorem-3.2")(c, np.zeros(1), np.ones(1))[0][0])
        longest = 2_000_000 if has_compiled_path(problem, sampling) else 20_000
        steps = min(longest // 40 if quick else longest, int(20 / (gamma * problem.mu)))
        methods = [Method("unified_sam", "theorem-3.2", c, lam, f"{lam:g}") for lam in LAMBDAS]
        record = record_grid(steps, 60, log=False)
        result = solve(problem, sampling, methods, record=record, trials=trials)
        data = tidy(result, methods, case=f"{problem.name}, {name}", reach=result.farthest.max() / problem.radius)
        start, t = float(problem.gap(problem.x0)), np.zeros(1)
        for lam in LAMBDAS:
            g, r = STEP_SIZES.get("theorem-3.2")(c, t, np.full(1, lam))
            step = recursion(problem, sampling, g, r, np.full(1, lam))
            mine = data["method"] == f"{lam:g}"
            data.loc[mine, "bound"] = _bound(start, step, record)[np.searchsorted(record, data.loc[mine, "step"])]
            data.loc[mine, "factor"] = step.factor[0]
        parts.append(data)
    return pd.concat(parts, ignore_index=True).drop(columns="relative")


def _bound(start: float, step: Recursion, record: np.ndarray) -> np.ndarray:
    whole = Recursion(np.repeat(step.factor, record[-1]), np.repeat(step.noise, record[-1]))
    return curve(start, whole)[record]


def draw(data: Frame) -> Figure:
    cases = list(dict.fromkeys(data["case"]))
    figure = canvas(columns=3, rows=(len(cases) + 2) // 3, width=3.1, height=2.5)
    for axes, case in zip(figure.axes, cases, strict=False):
        part = data[data["case"] == case]
        axes.set(yscale="log", title=case)
        for label, color in colors(part["method"]).items():
            line = part[part["method"] == label]
            draw_trials(axes, line, y="gap", label=f"λ = {label}", color=color)
            first = line[line["trial"] == 0]
            axes.plot(first["step"], first["bound"], **{**GUARANTEE, "color": color})
        axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
        axes.set_ylim(bottom=max(part["gap"].min() / 3, 1e-20))
    for axes in figure.axes[::3]:
        axes.set_ylabel("f - f*")
    figure.axes[0].plot([], [], label="guarantee", **GUARANTEE)
    figure.axes[0].legend(fontsize=7)
    for axes in figure.axes[len(cases) :]:
        axes.set_visible(False)
    return figure


def summary(data: Frame) -> Frame:
    """Compare every line with its guarantee.

    Returns:
        One row for each case and lambda: the largest ratio of gap to guarantee, the measured contraction per step
        (slope of log f - f* over the first tenth of the run) over the guaranteed one, and gap and guarantee at the end.
    """
    rows = []
    for (case, lam), line in data.groupby(["case", "method"], sort=False):
        mean = line.groupby("step")[["gap", "bound"]].mean()
        early = mean[mean.index <= mean.index.max() / 10]
        rate = -np.polyfit(early.index, np.log(early["gap"]), 1)[0]
        rows.append(
            {
                "case": case,
                "lam": lam,
                "used": float((mean["gap"] / mean["bound"]).iloc[1:].max()),
                "speed": float(rate / -np.log(line["factor"].iloc[0])),
                "last": float(mean["gap"].iloc[-1]),
                "bound": float(mean["bound"].iloc[-1]),
                "reach": float(line["reach"].iloc[0]),
            }
        )
    return pd.DataFrame(rows)


def _percent(share: float) -> str:
    return f"{float(f'{100 * share:.2g}'):g} %"  # two digits, and 100 rather than 1e+02


def findings(data: Frame) -> list[str]:
    table = summary(data)
    rows = ["| problem, sampling | λ | largest share of the guarantee | speed over guaranteed | end | guaranteed end |"]
    rows += ["|---|---|---|---|---|---|"]
    rows += [
        f"| {row.case} | {row.lam} | {_percent(row.used)} | {row.speed:.1f} | {row.last:.1e} | {row.bound:.1e} |"
        for row in table.itertuples()
    ]
    inside = int((table["used"] <= 1).sum())
    slow = [f"{row.case}, λ = {row.lam}" for row in table[table["speed"] < 1].itertuples()]
    verdict = (
        f"The mean over trials stays below the guarantee in {inside} of {len(table)} cases at every "
        f"recorded step after "
        "the start; "
    )
    verdict += f"slower than guaranteed: {'; '.join(slow)}." if slow else "every line starts faster than guaranteed."
    far = data[data["reach"] > 0].groupby("case", sort=False)["reach"].first()
    local = "; ".join(f"{case}: {value:.2f}" for case, value in far.items())
    ball = (
        "The networks' constants hold on a ball; the runs stay inside it (largest distance from the start, as a share "
        f"of the radius: {local})."
    )
    return [
        "Speed is the slope of log(f - f*) over the first tenth of the run, as a multiple of the guaranteed one.\n\n"
        + "\n".join(rows),
        verdict,
        *([ball] if local else []),
    ]


EXPERIMENTS.register(
    Experiment(
        "guarantee",
        "Constant steps against their guarantee",
        "Theorem 3.2 promises linear convergence to a neighbourhood. Each panel runs its step sizes on one kind "
        "of problem and "
        "sampling; dashed is the guarantee for the same λ, from the recursion derived in "
        "`benchmarks/theory/bounds.py` with "
        "the problem's own constants.",
        measure,
        draw,
        findings,
        measure_on,
    )
)
