"""Ours: constant steps on every kind of problem, against what is guaranteed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..bounds import recursion
from ..figures import GUARANTEE, Frame, canvas, colors, draw_trials
from ..methods import Method, make_methods, record_grid
from ..problems import Problem, make_problem
from ..problems.default import model_problem
from ..programs import LONGEST, bound, program_of, run_methods
from ..sampling import Sampling, make_sampling
from .base import EXPERIMENTS, Experiment, ran_by, tidy

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


def measure(
    quick: bool,
    problem: Problem | None = None,
    sampling: str | None = None,
    variant: str = "unified_sam",
    step_size: str = "theorem-3.2",
    hyper: Mapping[str, float | str] | None = None,
    lam: Sequence[float | str] | None = None,
    rho: float | None = None,
    steps: int | None = None,
    trials: int | None = None,
    seed: int = 0,
) -> Frame:
    cases = _cases(quick)
    if problem or sampling:
        names = [sampling] if sampling else ["uniform", "importance", "nice", "full"]
        cases = [Case(problem or model_problem(), name, 1 if name == "full" else 3) for name in names]
    parts = []
    for of, name, count in cases:
        drawn = make_sampling(name, of)
        program = program_of(of, drawn, variant, hyper)
        methods = make_methods(*(of, drawn, step_size, steps or 1, lam, LAMBDAS), variant=variant, rho=rho, hyper=hyper)
        gamma = float(methods[0].schedule(np.zeros(1))[0][0])
        longest = LONGEST[program] // (40 if quick else 1)
        record = record_grid(steps or min(longest, int(20 / (gamma * of.mu)) + 1), 60, log=False)
        result = run_methods(of, drawn, methods, record=record, trials=trials or count, seed=seed, program=program)
        reach = result.farthest.max() / of.radius
        data = tidy(result, methods, case=f"{of.name}, {name}", program=program, reach=reach).assign(
            bound=np.nan, factor=np.nan
        )
        for method in methods:
            limit, mine = bound(of, drawn, method, record), data["method"] == method.label
            data.loc[mine, "bound"] = np.tile(limit, trials or count)
            data.loc[mine, "factor"] = (
                _contraction(of, drawn, method, int(record[-1])) if np.isfinite(limit).all() else np.nan
            )
        parts.append(data)
    return pd.concat(parts, ignore_index=True).drop(columns="relative")


def _contraction(problem: Problem, sampling: Sampling, method: Method, steps: int) -> float:
    """Return the guaranteed factor of a step; NaN where it changes along the run, or is not below 1."""
    ends = recursion(problem, sampling, *method.schedule(np.array([0.0, steps - 1.0]))).factor
    return float(ends[0]) if ends[0] == ends[1] < 1 else np.nan


def draw(data: Frame) -> Figure:
    cases = list(dict.fromkeys(data["case"]))
    figure = canvas(columns=min(3, len(cases)), rows=(len(cases) + 2) // 3, width=3.1, height=2.5)
    for axes, case in zip(figure.axes, cases, strict=False):
        part = data[data["case"] == case]
        axes.set(yscale="log", title=case)
        for label, color in colors(part["method"]).items():
            line = part[part["method"] == label]
            draw_trials(axes, line, y="gap", label=str(label), color=color)
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
        One row for each case and method: the largest ratio of gap to guarantee, the measured contraction per step
        (slope of log f - f* over the first tenth of the run, as long as it has not settled) over the guaranteed one,
        and gap and guarantee at the end; NaN where there is no guarantee, or it settles within three recorded steps.
    """
    rows = []
    for (case, method), line in data.groupby(["case", "method"], sort=False):
        mean = line.groupby("step")[["gap", "bound"]].mean()
        # Before it settles: above three times its end, or half of the start where it does not fall that far.
        end = mean["gap"][mean.index > 0.75 * mean.index.max()].mean()
        fallen = (mean["gap"] <= min(3 * end, mean["gap"].iloc[0] / 2)).to_numpy()
        early = mean.iloc[: np.argmax(fallen) if fallen.any() else None]
        early = early[early.index <= mean.index.max() / 10]
        held = len(early) > 2 and np.isfinite(early["gap"]).all()
        slope = np.polyfit(early.index, np.log(early["gap"]), 1)[0] if held else np.nan
        rows.append(
            {
                "case": case,
                "method": method,
                "used": float((mean["gap"] / mean["bound"]).iloc[1:].max()),
                "speed": float(slope / np.log(line["factor"].iloc[0])),
                "last": float(mean["gap"].iloc[-1]),
                "bound": float(mean["bound"].iloc[-1]),
                "reach": float(line["reach"].iloc[0]),
            }
        )
    return pd.DataFrame(rows)


def _percent(share: float) -> str:
    return f"{float(f'{100 * share:.2g}'):g} %"  # two digits, and 100 rather than 1e+02


def _times(ratio: float) -> str:
    return "undecided" if np.isnan(ratio) else f"{ratio:.1f}"


def _end(gap: float) -> str:
    return f"ends at {gap:.1e}" if np.isfinite(gap) else "diverged"


def table_of_guarantees(data: Frame, quantity: str = "f - f*") -> list[str]:
    """Say how every line compares with its guarantee, in a table and a verdict.

    Args:
        data: columns case, method, trial, step, gap, bound, factor and reach.
        quantity: what ``gap`` is.
    """
    every = summary(data)
    table, bare = every[every["used"].notna()], every[every["used"].isna()]
    rows = [
        "| problem, sampling | line | largest share of the guarantee | speed over guaranteed | end | guaranteed end |"
    ]
    rows += ["|---|---|---|---|---|---|"]
    rows += [
        f"| {row.case} | {row.method} | {_percent(row.used)} | {_times(row.speed)} | {row.last:.1e} | {row.bound:.1e} |"
        for row in table.itertuples()
    ]
    said = []
    if len(table):
        inside = int((table["used"] <= 1).sum())
        slow = [f"{row.case}, {row.method}" for row in table[table["speed"] < 1].itertuples()]
        short = int(table["speed"].isna().sum())
        said += [
            f"Speed is the slope of log({quantity}) over the first tenth of the run, before it "
            "settles, over the guaranteed one.\n\n" + "\n".join(rows),
            f"The mean over trials stays below the guarantee in {inside} of {len(table)} cases at every recorded step "
            f"after the start; slower than guaranteed: {'; '.join(slow) or 'none'}"
            + (f"; undecided, for want of recorded steps or of one guaranteed speed: {short}." if short else "."),
        ]
    if len(bare):
        ends = "; ".join(f"{row.case}, {row.method} ({_end(row.last)})" for row in bare.itertuples())
        said.append(f"No theorem covers {ends}.")
    return said


def findings(data: Frame) -> list[str]:
    said = table_of_guarantees(data)
    far = data[data["reach"] > 0].groupby("case", sort=False)["reach"].first()
    if len(far):
        local = "; ".join(f"{case}: {value:.2f}" for case, value in far.items())
        left = [str(case) for case in far[far > 1].index]
        held = f"these runs leave it, and prove nothing: {'; '.join(left)}" if left else "the runs stay inside it"
        said.append(
            f"The networks' constants hold on a ball; {held} (largest distance from the start, as a share of the "
            f"radius: {local})."
        )
    return [*said, ran_by(data)]


EXPERIMENTS.register(
    Experiment(
        "guarantee",
        "Constant steps against their guarantee",
        "Theorem 3.2 promises linear convergence to a neighbourhood. Each panel runs its step sizes on one kind of "
        "problem and sampling; dashed is the guarantee for the same λ, from the recursion derived in "
        "`benchmarks/theory/bounds.py` with the problem's own constants.",
        measure,
        draw,
        findings,
    )
)
