"""Ours: the rate of decreasing steps, as a slope with its confidence interval."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from ..figures import GUARANTEE, Frame, canvas, colors, draw_trials
from ..methods import make_methods, record_grid
from ..problems import Problem, make_problem
from ..problems.default import model_problem
from ..programs import LONGEST, LOOPED, bound, program_of, run_methods
from ..sampling import make_sampling
from .base import EXPERIMENTS, Experiment, ran_by, tidy

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


def measure(
    quick: bool,
    problem: Problem | None = None,
    sampling: str | None = None,
    variant: str = "unified_sam",
    step_size: str = "theorem-3.5",
    hyper: Mapping[str, float | str] | None = None,
    lam: Sequence[float | str] | None = None,
    rho: float | None = None,
    steps: int | None = None,
    trials: int | None = None,
    seed: int = 0,
) -> Frame:
    cases = _cases(quick)
    if problem or sampling:
        of, name = problem or model_problem(), sampling or "uniform"
        cases = [(f"{of.name}, {name}", of, name, 20_000 if quick else 1_000_000, 4 if quick else 20)]
    parts = []
    for label, of, name, longest, count in cases:
        drawn = make_sampling(name, of)
        program = program_of(of, drawn, variant, hyper)
        free = program == LOOPED or len(cases) == 1
        length = steps or (min(longest, LONGEST[program]) if free else longest)
        methods = make_methods(*(of, drawn, step_size, length, lam, LAMBDAS), variant=variant, rho=rho, hyper=hyper)
        record = record_grid(length, 40)
        result = run_methods(of, drawn, methods, record=record, trials=trials or count, seed=seed, program=program)
        parts.append(tidy(result, methods, case=label, program=program).assign(bound=np.nan, turn=np.nan))
        for method in methods:
            mine = parts[-1]["method"] == method.label
            parts[-1].loc[mine, "bound"] = np.tile(bound(of, drawn, method, record), trials or count)
            gamma = method.schedule(np.arange(length, dtype=np.float64))[0]
            # The schedule leaves its constant phase where gamma first falls, if it does.
            parts[-1].loc[mine, "turn"] = int(np.argmax(gamma < gamma[0])) or np.nan
    of_theorem = step_size == "theorem-3.5" and rho is None and variant == "unified_sam"
    return pd.concat(parts, ignore_index=True).drop(columns="relative").assign(of_theorem=of_theorem)


def slopes(data: Frame) -> Frame:
    """Fit log gap against log step for every trial, from twice the end of the constant phase on.

    Returns:
        One row for each case and method: mean slope over trials, and its 95 % t-interval; NaN where the run is too
        short to tell, or has one trial.
    """
    rows = []
    for (case, method), line in data.groupby(["case", "method"], sort=False):
        late = line[line["step"] >= 2 * line["turn"]]
        each = [
            np.polyfit(np.log(one["step"]), np.log(one["gap"]), 1)[0]
            for _, one in late.groupby("trial")
            if len(one) > 2 and np.isfinite(np.log(one["gap"].where(one["gap"] > 0))).all()
        ]
        half = (
            stats.t.ppf(0.975, len(each) - 1) * np.std(each, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.nan
        )
        mean = float(np.mean(each)) if each else np.nan
        rows.append({"case": case, "method": method, "slope": mean, "low": mean - half, "high": mean + half})
    return pd.DataFrame(rows)


def _means(data: Frame) -> list[Frame]:
    """Mean over trials of gap and guarantee after the start, for each line that has a guarantee."""
    late = data[(data["step"] > 0) & data["bound"].notna()]
    return [line.groupby("step")[["gap", "bound"]].mean() for _, line in late.groupby(["case", "method"], sort=False)]


def draw(data: Frame) -> Figure:
    cases = list(dict.fromkeys(data["case"]))
    figure = canvas(columns=min(2, len(cases)), rows=(len(cases) + 1) // 2, width=4.0, height=2.9)
    for axes, case in zip(figure.axes, cases, strict=False):
        part = data[data["case"] == case]
        axes.set(xscale="log", yscale="log", title=case, xlabel="step", ylabel="f - f*")
        for label, color in colors(part["method"]).items():
            line = part[part["method"] == label]
            draw_trials(axes, line, y="gap", label=str(label), color=color)
            first = line[(line["trial"] == 0) & (line["step"] > 0)]
            axes.plot(first["step"], first["bound"], **{**GUARANTEE, "color": color})
        turn, last = part["turn"].iloc[0], part["step"].max()
        if 2 * turn < last:
            at = part[part["step"] == last]["gap"].mean() * 5
            axes.plot([2 * turn, last], [at * last / (2 * turn), at], "k:", linewidth=1, label="slope -1")
    figure.axes[0].plot([], [], label="guarantee", **GUARANTEE)
    figure.axes[0].legend(fontsize=7)
    return figure


def findings(data: Frame) -> list[str]:
    table, of_theorem = slopes(data), bool(data.get("of_theorem", pd.Series([True])).all())
    rows = ["| problem, sampling | line | slope | 95 % interval |", "|---|---|---|---|"]
    rows += [
        f"| {row.case} | {row.method} | {row.slope:.3f} | [{row.low:.3f}, {row.high:.3f}] |"
        for row in table.dropna().itertuples()
    ]
    said = [
        "Slope of log(f - f*) against log t after the constant phase, mean over the trials' own fits:\n\n"
        + "\n".join(rows),
        _verdict(table, ", as the theorem's O(1/t) demands" if of_theorem else ""),
        _guarantee(_means(data)),
        _spread(data, " With ρ_t = 1/(2t+1) the perturbation is gone long before the noise is." if of_theorem else ""),
        ran_by(data),
    ]
    return said[1:] if len(rows) == 2 else said


def _verdict(table: Frame, demanded: str) -> str:
    def named(rows: Frame) -> str:
        return "; ".join(f"{row.case}, {row.method}" for row in rows.itertuples())

    fitted, short = table.dropna(), table[table["low"].isna()]
    slow, fast = fitted[fitted["low"] > -1], fitted[fitted["high"] < -1]
    said = []
    if len(fitted):
        said.append(
            f"Significantly slower than 1/t over the fitted range: {named(slow)}"
            if len(slow)
            else f"No slope is significantly above -1{demanded}"
        )
        said.append(
            f"the interval covers -1 in {len(fitted) - len(slow) - len(fast)} of {len(fitted)} lines of "
            f"{fitted['case'].nunique()} independent cases (the lines of a case share its samples)"
        )
    if len(short):
        said.append(
            f"undecided, since the steps stay constant for half of the run or there is one trial: {named(short)}"
        )
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _guarantee(means: list[Frame]) -> str:
    if not means:
        return "No guarantee is drawn: the theorem does not cover these lines."
    inside = sum(bool((line["gap"] <= line["bound"]).all()) for line in means)
    used = max(float((line["gap"] / line["bound"]).iloc[-1]) for line in means)
    return (
        "Dashed is the guarantee of the one-step recursion in `benchmarks/theory/bounds.py` along the same schedule. "
        f"The mean over trials is inside it at every recorded step after the start in {inside} of {len(means)} lines, "
        f"and at the end at most {100 * used:.2g} % of it."
    )


def _spread(data: Frame, why: str) -> str:
    ends = data[data["step"] == data.groupby("case")["step"].transform("max")]
    mean = ends.groupby(["case", "method"], sort=False)["gap"].mean().groupby("case")
    if mean.size().max() == 1:
        return "One line a case: nothing is compared."
    apart = float((mean.max() / mean.min()).max()) - 1
    return (
        f"λ makes no visible difference: at the end the lines of a case are within {100 * apart:.2g} % of each other."
        + why
        if apart < 0.05
        else f"λ makes a difference: at the end the lines of a case are up to {100 * apart:.2g} % apart."
    )


EXPERIMENTS.register(
    Experiment(
        "rate",
        "Decreasing steps: is it 1/t?",
        "Theorem 3.5 promises f - f* = O(1/t) for decreasing steps. The slope is fitted from twice the end of the "
        "schedule's constant phase to the end of the run, for five λ, 20 trials.",
        measure,
        draw,
        findings,
    )
)
