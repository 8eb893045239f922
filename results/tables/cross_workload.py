"""Methods across the workloads of a track: their errors relative to those of the others, with uncertainty."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ...markdown import count, table
from ..records.manifest import TRACKS
from ..statistics.aggregate import (
    LEAST_WORKLOADS,
    critical_difference,
    interquartile_mean,
    score_profile,
    stratified_bootstrap,
)
from ..statistics.intervals import Floats, Interval, probability_of_improvement, t_interval
from .boards import HEADLINE, Section
from .rows import BASELINES, Row

FACTORS = (1.1, 1.5)
"""Multiples of the best method's mean error at which the table shows the profile; the figure shows the whole curve."""

_RESAMPLES = 1000
_LEFT = ("Variant", "Group")


@dataclass(frozen=True, slots=True)
class Overall:
    """One method on several workloads. A relative error is the error over the mean error of all methods on a workload.

    Attributes:
        label: name of the method, the same in every table.
        n: number of runs on all workloads.
        mean: mean relative error, workloads with equal weight; its 95 % t-interval takes the workloads as the sample,
            and holds for workloads like these.
        median: median relative error over all runs.
        middle: interquartile mean of the relative errors of all runs; its 95 % interval (stratified bootstrap)
            resamples seeds, and holds for these workloads only.
        better: baseline -> probability that a run is better than one of the baseline, mean over workloads.
        within: share of runs within each of :data:`FACTORS` of the best method's mean error.
        rank: mean rank, 1 best; ``None`` for fewer than six workloads.
        group: letters of the tie group by critical differences, empty for fewer than six workloads.
    """

    label: str
    n: int
    mean: Interval
    median: float
    middle: Interval
    better: dict[str, float]
    within: tuple[float, ...]
    rank: float | None
    group: str


def in_common(sections: Sequence[Section], track: str) -> list[list[Row]]:
    """Find the rows of the methods that ran on every workload of a track: one list a workload, sorted by label.

    Where no two methods ran on all workloads, those in no table of which all baselines stand, such as a grid of one
    variant, are left out, if two others remain: they would end the comparison of all others. A method is identified by
    its label. Of several tables of a workload one stands for it: that with most of the methods which every workload has
    in some table, of those the one with the largest budget. The result is empty for fewer than two workloads or two
    such methods.
    """
    found = _workloads(sections, track)
    if tables := _shared(found):
        return tables
    return _shared({key: some for key, some in found.items() if any(set(BASELINES) <= rows.keys() for _, rows in some)})


def _shared(found: Mapping[str, list[tuple[float, dict[str, Row]]]]) -> list[list[Row]]:
    everywhere = [set().union(*(rows.keys() for _, rows in some)) for some in found.values()]
    wanted = set.intersection(*everywhere) if everywhere else set[str]()
    tables = [max(some, key=lambda one: (len(wanted & one[1].keys()), one[0]))[1] for some in found.values()]
    shared = wanted.intersection(*tables)
    if len(tables) < 2 or len(shared) < 2:
        return []
    return [[rows[label] for label in sorted(shared)] for rows in tables]


def _workloads(sections: Sequence[Section], track: str) -> dict[str, list[tuple[float, dict[str, Row]]]]:
    """List the tables of each workload of a track: workload -> budget and label -> row of each."""
    found = defaultdict[str, list[tuple[float, dict[str, Row]]]](list)
    for one in sections:
        if one.track and one.track.name == track:
            found[one.workload.key].append((one.track.budget, {row.label: row for row in one.workload.rows}))
    return found


def compare(tables: Sequence[Sequence[Row]]) -> list[Overall]:
    """Compare methods over workloads, the one with the smallest interquartile mean first.

    Args:
        tables: for each of at least two workloads the rows of the same methods in the same order, as
            :func:`in_common` finds them.
    """
    errors = [[1 - np.array(row.accuracies) for row in rows] for rows in zip(*tables, strict=True)]
    scales = [float(np.mean([row.error for row in rows])) or 1.0 for rows in tables]  # without errors: 0 / 1
    profile = score_profile(errors, FACTORS)
    ranked = _ranks(tables) if len(tables) >= LEAST_WORKLOADS else [(None, "")] * len(errors)
    found = []
    for rows, samples, within, (rank, group) in zip(zip(*tables, strict=True), errors, profile, ranked, strict=True):
        relative = [sample / scale for sample, scale in zip(samples, scales, strict=True)]
        pooled = np.concatenate(relative)
        found.append(
            Overall(
                label=rows[0].label,
                n=len(pooled),
                mean=t_interval([sample.mean() for sample in relative]),
                median=float(np.median(pooled)),
                middle=stratified_bootstrap(relative, _middle, np.random.default_rng(0), resamples=_RESAMPLES),
                better=_better(rows, tables),
                within=tuple(map(float, within)),
                rank=rank,
                group=group,
            )
        )
    return sorted(found, key=lambda method: (method.middle.estimate, method.label))


def across_workloads(sections: Sequence[Section]) -> list[str]:
    """Write the Markdown sections on methods across workloads, track by track; none if no track allows it."""
    parts: list[str] = []
    for track in HEADLINE:
        if tables := in_common(sections, track):
            of = len(_workloads(sections, track))
            parts += [f"## Track {track}: {TRACKS[track]}", _about(tables, of), _table(compare(tables))]
    return [*parts, *_left_out(sections)] if parts else []


def _left_out(sections: Sequence[Section]) -> list[str]:
    """Say which tracks of several workloads have no two methods that ran on all of them."""
    return [
        f"Nothing is said of track {track}, {TRACKS[track]}: no two methods ran on all of its {workloads} workloads."
        for track in HEADLINE
        if (workloads := len(_workloads(sections, track))) > 1 and not in_common(sections, track)
    ]


def nothing_across(sections: Sequence[Section]) -> str:
    """Say why :func:`across_workloads` says nothing."""
    most = max(len(_workloads(sections, track)) for track in HEADLINE)
    if most > 1:
        return "Nothing is said across workloads yet: no two methods ran on every workload of a track."
    return (
        "Nothing is said across workloads yet: that takes two workloads of one track with two methods in common, and "
        f"no track has more than {count(most, 'workload')}. What a single workload shows may not carry over."
    )


def _about(tables: Sequence[Sequence[Row]], of: int) -> str:
    """Say how to read the table, given the number of all workloads of the track."""
    workloads, methods = len(tables), len(tables[0])
    rest = f" (and {count(of - workloads, 'other')} left out, none of whose tables has {' and '.join(BASELINES)})"
    least = 2.0 ** (1 - workloads) * methods * (methods - 1) / 2  # smallest p-value that Holm's method can give
    difference = (
        f"**Rank** is the mean rank, and rows that share a letter are not told apart by Wilcoxon's signed-rank tests "
        f"of all pairs over the {workloads} workloads (Holm, 5 %)"
        + (f"; so few of them cannot tell any of {methods} methods apart." if least >= 0.05 else ".")
        if workloads >= LEAST_WORKLOADS
        else f"Critical differences of ranks are not shown: with {workloads} workloads no such test can reach 5 %, it "
        f"takes {LEAST_WORKLOADS}."
    )
    return (
        f"{count(workloads, 'workload')}{rest if of > workloads else ''}, "
        f"{count(methods, 'method')} that ran on all of them; of several tables of a "
        "workload with as many of them the one with the largest budget stands for it. A relative error "
        "is a run's test error over the mean error of these methods on its workload: 1 is their average, lower is "
        "better. **Mean** gives workloads equal weight; its 95 % t-interval takes the workloads as the sample and asks "
        "about workloads like these. **Median** and **IQM** (mean of the middle half) are over all runs, so that a "
        "workload with more seeds weighs more; the interval of the IQM (bootstrap of the seeds within each workload, "
        "too narrow for few of them) is about these workloads alone. **P(< sgd)**, **P(< sam)**: probability that a "
        "run has a smaller error than one of the baseline, ties half. **Within**: runs with at most that multiple of "
        f"the best method's mean error. {difference} Intervals and tests over workloads take them for independent, "
        "which those of one data set are not. None of this says how a method does on another kind of problem, and a "
        "diverged run counts as guessing here, too."
    )


def _table(methods: Sequence[Overall]) -> str:
    baselines = [name for name in BASELINES if any(name in method.better for method in methods)]
    ranked = methods[0].rank is not None
    columns = ["Variant", "n", "Mean", "Median", "IQM", *(f"P(< {name})" for name in baselines)]
    columns += [f"Within {factor:g}x, %" for factor in FACTORS] + (["Rank", "Group"] if ranked else [])
    rows = [
        [
            method.label,
            str(method.n),
            _interval(method.mean),
            f"{method.median:.2f}",
            _interval(method.middle),
            *(f"{method.better[name]:.2f}" if name in method.better else "–" for name in baselines),
            *(f"{100 * share:.0f}" for share in method.within),
            *([f"{method.rank:.1f}", method.group] if ranked else []),
        ]
        for method in methods
    ]
    return table(columns, rows, _LEFT)


def _interval(value: Interval) -> str:
    return f"{value.estimate:.2f} [{value.low:.2f}, {value.high:.2f}]".replace("-", "−")


def _middle(samples: list[Floats]) -> Floats:
    return interquartile_mean(np.concatenate(samples, axis=-1))


def _better(rows: Sequence[Row], tables: Sequence[Sequence[Row]]) -> dict[str, float]:
    """Compare a method with each baseline; one with several settings has no single row and is left out."""
    found = {}
    for name in BASELINES:
        others = list(chain.from_iterable([row for row in table if row.label == name] for table in tables))
        if len(others) == len(rows) and others[0].label != rows[0].label:
            shares = [
                probability_of_improvement(row.accuracies, other.accuracies)
                for row, other in zip(rows, others, strict=True)
            ]
            found[name] = float(np.mean(shares))
    return found


def _ranks(tables: Sequence[Sequence[Row]]) -> list[tuple[float | None, str]]:
    result = critical_difference([[row.accuracy for row in rows] for rows in tables])
    return [(float(rank), letters) for rank, letters in zip(result.ranks, result.letters, strict=True)]
