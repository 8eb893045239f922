"""Rows of a table: methods with their runs, accuracy, cost and differences from the baselines."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..records.behaviour import Code
from ..statistics import multiple_comparisons as ties
from ..statistics.intervals import pooled_deviation, t_interval
from ..statistics.pairs import LEAST_PAIRS, LEAST_RUNS, PairDifference, compare_by_seed, pair_deviation
from .comparability import labels, short_name, varying
from .grouping import Methods, RunSummary

VERIFIED = "reference"
BASELINES = ("sgd", "sam")
"""Methods that every row is compared with, by their short names."""

_IN_THE_NAME = {"variant", "base", "sampler", "average", "hook"}


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one workload. Accuracies are shares; costs are means over the runs that completed.

    Attributes:
        group: letters of the tie groups; empty for fewer than three runs or if no run completed, since there is no
            spread to compare with.
        label: name of the method, unique in its table.
        variant: name of the registered variant.
        status: ``reference``, or why the implementation is not proven.
        settings: the hyper-parameters, and other settings that differ between the rows of the table.
        spec: the method's fields, under the keys of a spec.
        accuracies: accuracy of each run, in the order of the seeds; a diverged run counts as guessing.
        seeds: seed of each run, ascending.
        resolution: the step in which the accuracies are measured.
        runs: id of each run, in the same order.
        accuracy: mean of ``accuracies``, a share.
        low: lower end of the 95 % t-interval of the mean, ``None`` for fewer than three runs.
        high: upper end of that interval.
        against: baseline -> difference of the accuracies, this row less the baseline's best one, with its 95 %
            interval; without baselines that are not in the table, are this row or have fewer than three runs.
        diverged: number of runs that diverged.
        gradient_evaluations: forward and backward passes over one full batch, as counted.
        forward_evaluations: forward-only passes over one full batch.
        train_seconds: training time in seconds, evaluation excluded.
        seconds_per_gradient: training time over gradient evaluations, in seconds.
        unsteadiness: time for a gradient evaluation in the slowest run over that in the fastest, at least 1.
        memory: largest peak memory of a run in bytes, ``None`` if none was measured.
        codes: the codes of the variant that made the runs, none twice that do the same.
        compilers: what compiled the passes of the runs, each once; empty for runs whose passes nothing compiled.
        best_epoch: mean of the first epoch with the highest accuracy on held-out images, where all have one.
        best_held_out: mean of that accuracy, a share.
    """

    group: str
    label: str
    variant: str
    status: str
    settings: dict[str, Any]
    spec: dict[str, Any]
    accuracies: tuple[float, ...]
    seeds: tuple[int, ...]
    resolution: float
    runs: tuple[str, ...]
    accuracy: float
    low: float | None
    high: float | None
    against: dict[str, PairDifference]
    diverged: int
    gradient_evaluations: float | None
    forward_evaluations: float | None
    train_seconds: float | None
    seconds_per_gradient: float | None
    unsteadiness: float | None
    memory: int | None
    codes: tuple[Code, ...]
    compilers: tuple[str, ...] = ("",)
    best_epoch: float | None = None
    best_held_out: float | None = None

    @property
    def n(self) -> int:
        """Number of runs, diverged ones included."""
        return len(self.accuracies)

    @property
    def error(self) -> float:
        """Mean error, a share."""
        return 1 - self.accuracy


@dataclass(frozen=True, slots=True)
class Excluded:
    """Runs that no row counts.

    Attributes:
        label: name of their method.
        seeds: seed of each run.
        reason: why they are left out: retracted, failed, or a repeated seed.
    """

    label: str
    seeds: tuple[int, ...]
    reason: str


CountedRow = tuple[str, dict[str, Any], list[RunSummary]]
"""A method with at least one run that counts: its label, its fields, and these runs by seed."""


def select(methods: Methods, retracted: Mapping[str, str] | None = None) -> tuple[list[CountedRow], list[Excluded]]:
    """Split the runs of all methods into those that count, best method first, and those that do not.

    Two runs of one method with the same seed can differ only in how often they were measured: the one with the smaller
    id counts.

    Args:
        methods: the methods of a workload with all their runs.
        retracted: run id -> why the run was retracted.
    """
    counted: list[CountedRow] = []
    excluded: list[Excluded] = []
    names = labels([method for method, _ in methods])
    for name, (method, runs) in zip(names, methods, strict=True):
        kept: dict[int, RunSummary] = {}
        reasons: dict[str, list[int]] = defaultdict(list)
        for run in sorted(runs, key=lambda run: (run.seed, run.run_id)):
            if run.run_id in (retracted or {}):
                reasons[f"retracted: {(retracted or {})[run.run_id]}"].append(run.seed)
            elif run.status == "failed":
                reasons[f"failed: {run.reason}"].append(run.seed)
            elif run.seed in kept:
                reasons[f"the same run as {kept[run.seed].run_id[:12]}, measured at other epochs"].append(run.seed)
            else:
                kept[run.seed] = run
        excluded += [Excluded(name, tuple(seeds), reason) for reason, seeds in reasons.items()]
        if kept:
            counted.append((name, method, list(kept.values())))
    counted.sort(key=lambda item: (-fmean(run.accuracy for run in item[2]), item[0]))
    return counted, sorted(excluded, key=lambda item: (item.label, item.seeds, item.reason))


def make_rows(counted: Sequence[CountedRow]) -> list[Row]:
    """Make the rows of a table, in the order given."""
    differing = set(varying([method for _, method, _ in counted])) - _IN_THE_NAME
    baselines = {name: runs for name in BASELINES if (runs := _baseline(counted, name))}
    return [
        _row(group, item, differing, baselines)
        for group, item in zip(_groups([runs for *_, runs in counted]), counted, strict=True)
    ]


def deviation(counted: Iterable[CountedRow]) -> float | None:
    """Return the pooled standard deviation over seeds of the methods without divergence; ``None`` if there are none.

    It is never below that of rounding: runs with the same number of correct answers do not prove precision.
    """
    clean = [runs for *_, runs in counted if len(runs) > 1 and all(run.status == "completed" for run in runs)]
    if not clean:
        return None
    rounding = max(run.resolution for runs in clean for run in runs) / 12**0.5
    return max(pooled_deviation([[run.accuracy for run in runs] for runs in clean]), rounding)


def typical_difference(counted: Iterable[CountedRow]) -> float | None:
    """Return the typical deviation of a difference within the seed; ``None`` without two rows that share enough seeds.

    It is the root mean square over all pairs of methods without divergence, and never below that of rounding.
    """
    clean = [
        {run.seed: run for run in runs}
        for *_, runs in counted
        if len(runs) >= LEAST_PAIRS and all(run.status == "completed" for run in runs)
    ]
    seeds = sorted(set.intersection(*map(set, clean))) if len(clean) > 1 else []
    if len(seeds) < LEAST_PAIRS:
        return None
    rounding = max(runs[seed].resolution for runs in clean for seed in seeds) / 6**0.5
    return max(pair_deviation([[runs[seed].accuracy for seed in seeds] for runs in clean]), rounding)


def difference(runs: Sequence[RunSummary], other: Sequence[RunSummary]) -> PairDifference | None:
    """Compare two methods by their runs; ``None`` for fewer than three of one of them."""
    first, second = ({run.seed: run.accuracy for run in one} for one in (runs, other))
    return compare_by_seed(first, second, resolution=max(run.resolution for run in (*runs, *other)))


def between(row: Row, other: Row) -> PairDifference | None:
    """Compare two rows of a table; ``None`` if one has fewer than three runs."""
    first, second = (dict(zip(one.seeds, one.accuracies, strict=True)) for one in (row, other))
    return compare_by_seed(first, second, resolution=max(row.resolution, other.resolution))


def _baseline(counted: Sequence[CountedRow], name: str) -> list[RunSummary] | None:
    """Find the runs of a baseline; of several settings, the best one that has enough runs for an interval."""
    return next((runs for _, method, runs in counted if short_name(method) == name and len(runs) >= LEAST_RUNS), None)


def _groups(rows: Sequence[Sequence[RunSummary]]) -> list[str]:
    """Return the tie-group letters of the rows, best first; empty for a row without a measured spread."""
    judged = [
        i for i, runs in enumerate(rows) if len(runs) >= LEAST_RUNS and any(run.status == "completed" for run in runs)
    ]
    resolution = max((run.resolution for i in judged for run in rows[i]), default=0.0)
    differ = ties.different([[run.accuracy for run in rows[i]] for i in judged], resolution=resolution)
    groups = [""] * len(rows)
    for i, letters in zip(judged, ties.compact_letters(differ, range(len(judged))), strict=True):
        groups[i] = letters
    return groups


def _row(group: str, counted: CountedRow, differing: set[str], baselines: Mapping[str, list[RunSummary]]) -> Row:
    label, method, runs = counted
    accuracies = tuple(run.accuracy for run in runs)
    resolution = max(run.resolution for run in runs)
    interval = t_interval(accuracies, resolution=resolution) if len(runs) >= LEAST_RUNS else None
    done = [run for run in runs if run.status == "completed"]
    gradients = sum(run.gradients for run in done)
    paces = [run.seconds / run.gradients for run in done if run.seconds and run.gradients]
    keys = [key for key in method if key.startswith("hyper.") or key in differing]
    return Row(
        group=group,
        label=label,
        variant=str(method["variant"]),
        status=next((run.implementation for run in runs if run.implementation != VERIFIED), VERIFIED),
        settings={key.removeprefix("hyper."): method[key] for key in sorted(keys, key=_hyper_first)},
        spec={key: value for key, value in method.items() if not key.startswith("hyper.")}
        | {"hyper": {key.removeprefix("hyper."): value for key, value in method.items() if key.startswith("hyper.")}},
        accuracies=accuracies,
        seeds=tuple(run.seed for run in runs),
        resolution=resolution,
        runs=tuple(run.run_id for run in runs),
        accuracy=fmean(accuracies),
        low=interval and interval.low,
        high=interval and interval.high,
        against={
            name: found
            for name, other in baselines.items()
            if other is not runs and (found := difference(runs, other)) is not None
        },
        diverged=len(runs) - len(done),
        gradient_evaluations=fmean(run.gradients for run in done) if done else None,
        forward_evaluations=fmean(run.forwards for run in done) if done else None,
        train_seconds=fmean(run.seconds for run in done) if done else None,
        seconds_per_gradient=sum(run.seconds for run in done) / gradients if gradients else None,
        unsteadiness=max(paces) / min(paces) if paces else None,
        memory=max((run.memory for run in done if run.memory is not None), default=None),
        codes=_codes(runs),
        compilers=tuple(sorted({run.compiler for run in runs})),
        best_epoch=_mean(run.best_epoch for run in done),
        best_held_out=_mean(run.best_held_out for run in done),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean, where every run has a value."""
    found = list(values)
    known = [value for value in found if value is not None]
    return fmean(known) if known and len(known) == len(found) else None


def _codes(runs: Sequence[RunSummary]) -> tuple[Code, ...]:
    found: list[Code] = []
    for run in runs:
        if all(run.code.differs(other) for other in found):
            found.append(run.code)
    return tuple(found)


def _hyper_first(key: str) -> tuple[bool, str]:
    return not key.startswith("hyper."), key
