"""Records to the rows of a leaderboard: typed values, no text; whatever is shown anywhere is computed here."""

import marshal
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from . import ties
from .record import RunRecord
from .statistics import detectable_difference, pooled_deviation, t_interval
from .workloads import (
    REPETITION,
    chooses_hyper,
    common,
    key_of,
    labels,
    method_of,
    short_name,
    titles,
    varying,
    workload_of,
)

VERIFIED = "reference"


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one workload. Accuracies are shares; costs are means over the runs that completed.

    Attributes:
        group: letters of the tie group, empty where there is nothing to compare with: a single run, or no run
            that got to an end.
        label: name of the method, unique in its table.
        name: name without what tells apart two settings of the same variant.
        status: ``reference``, or why the implementation is not proven.
        settings: the hyper-parameters, and what else differs between the rows of the table.
        accuracies: one a run in the order of the seeds; a diverged run counts as chance.
        seeds: of these runs.
        accuracy: mean of ``accuracies``.
        low: lower end of its 95 % t-interval, ``None`` for a single run.
        high: upper end.
        diverged: number of runs that diverged.
        gradient_evaluations: forward and backward passes over one full batch, as counted.
        forward_evaluations: forward-only passes over one full batch.
        train_seconds: evaluation excluded.
        seconds_per_gradient: training time over gradient evaluations.
        sources: number of different source files of the variant among the runs; more than 1 is a warning.
    """

    group: str
    label: str
    name: str
    status: str
    settings: dict[str, Any]
    accuracies: tuple[float, ...]
    seeds: tuple[int, ...]
    accuracy: float
    low: float | None
    high: float | None
    diverged: int
    gradient_evaluations: float | None
    forward_evaluations: float | None
    train_seconds: float | None
    seconds_per_gradient: float | None
    sources: int

    @property
    def n(self) -> int:
        """Number of runs, diverged ones included."""
        return len(self.accuracies)


@dataclass(frozen=True, slots=True)
class Excluded:
    """Runs that are in no row, and why."""

    label: str
    seeds: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Workload:
    """The runs that may be compared, best first.

    Attributes:
        title: unique name.
        shared: the part of the spec that all runs share, with the fingerprint of the data.
        common: the part of the methods that all rows share.
        rows: by mean accuracy, highest first; equal ones by name.
        excluded: failed runs and repeated seeds.
        hardware: kinds of machine and the number of runs on each.
        deviation: standard deviation over seeds, pooled over the rows without divergence; ``None`` without any.
        detectable: for the smallest and the largest number of runs in a row, the difference that a comparison
            of two such rows finds with 80 % power.
    """

    title: str
    shared: dict[str, Any]
    common: dict[str, Any]
    rows: tuple[Row, ...]
    excluded: tuple[Excluded, ...]
    hardware: tuple[tuple[str, int], ...]
    deviation: float | None
    detectable: tuple[tuple[int, float], ...]


class _Run(NamedTuple):
    """What a row needs of a record, which is small: 100,000 of them fit in memory where their curves would not."""

    run_id: str
    seed: int
    status: str
    reason: str
    accuracy: float
    resolution: float
    gradients: float
    forwards: float
    seconds: float
    source: str
    implementation: str
    hardware: str


def summarize(records: Iterable[RunRecord]) -> list[Workload]:
    """Group runs into workloads and rows, whatever order they come in.

    Search runs choose hyper-parameters and are left out. Of two runs of one method with one seed, which can differ
    only in how often they were measured, the one with the smaller id counts.
    """
    shared: dict[str, dict[str, Any]] = {}
    methods: dict[str, dict[str, Any]] = {}
    runs: dict[str, dict[str, list[_Run]]] = defaultdict(lambda: defaultdict(list))
    keys: dict[bytes, tuple[str, str]] = {}
    for record in records:
        if chooses_hyper(record):
            continue
        if (identity := _identity(record)) not in keys:
            workload, method = workload_of(record), method_of(record)
            keys[identity] = key, method_key = key_of(workload), key_of(method)
            shared[key], methods[method_key] = workload, method
        key, method_key = keys[identity]
        runs[key][method_key].append(_reduce(record))
    order = sorted(shared, key=lambda key: (*(str(shared[key].get(k)) for k in ("dataset", "model")), key))
    names = titles([shared[key] for key in order])
    return [
        _workload(name, shared[key], [(methods[m], runs[key][m]) for m in sorted(runs[key])])
        for name, key in zip(names, order, strict=True)
    ]


def _identity(record: RunRecord) -> bytes:
    """Give bytes that are equal only for runs of one method on one workload: cheap, where the keys are not."""
    spec = [item for item in record.spec.items() if item[0] not in REPETITION]
    return marshal.dumps((record.dataset_fingerprint, spec), 2)  # version 2: values alone, no references


def _reduce(record: RunRecord) -> _Run:
    chance, metrics, environment = 1 / record.classes, record.metrics, record.environment
    threads = f", {environment.threads} threads" if environment.device == "cpu" else ""
    return _Run(
        run_id=record.run_id,
        seed=int(record.spec.get("seed", 0)),
        status=record.status,
        reason=(record.error or "no reason recorded").strip().partition("\n")[0],
        accuracy=chance if metrics is None else metrics.accuracy,
        resolution=0.0 if metrics is None else 1 / metrics.count,
        gradients=record.counters.gradient_evaluations,
        forwards=record.counters.forward_evaluations,
        seconds=record.timing.train_seconds,
        source=record.variant_source,
        implementation=record.variant_status,
        hardware=f"{environment.device_name}{threads}",
    )


def _workload(title: str, shared: dict[str, Any], methods: Sequence[tuple[dict[str, Any], list[_Run]]]) -> Workload:
    names = labels([method for method, _ in methods])
    excluded: list[Excluded] = []
    ranked: list[tuple[str, dict[str, Any], list[_Run]]] = []
    for name, (method, runs) in zip(names, methods, strict=True):
        kept, left_out = _select(name, runs)
        excluded += left_out
        if kept:
            ranked.append((name, method, kept))
    ranked.sort(key=lambda item: (-fmean(run.accuracy for run in item[2]), item[0]))
    shown = [method for _, method, _ in ranked]
    counted = [runs for _, _, runs in ranked]
    apart = set(varying(shown)) - {"variant", "base", "sampler", "average", "hook"}  # the name tells these
    deviation = _deviation(counted)
    sizes = sorted({len(runs) for runs in counted if len(runs) > 1})
    rows = [
        _row(group, name, method, runs, apart)
        for group, (name, method, runs) in zip(_groups(counted), ranked, strict=True)
    ]
    return Workload(
        title=title,
        shared=shared,
        common=common(shown),
        rows=tuple(rows),
        excluded=tuple(sorted(excluded, key=lambda item: (item.label, item.seeds, item.reason))),
        hardware=tuple(sorted(Counter(run.hardware for runs in counted for run in runs).items())),
        deviation=deviation,
        detectable=()
        if deviation is None
        else tuple((n, deviation * detectable_difference(n)) for n in sorted({*sizes[:1], *sizes[-1:]})),
    )


def _select(name: str, runs: Sequence[_Run]) -> tuple[list[_Run], list[Excluded]]:
    """Split the runs of a method into those that count, by seed, and those that do not."""
    kept: dict[int, _Run] = {}
    reasons: dict[str, list[int]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.seed, run.run_id)):
        if run.status == "failed":
            reasons[f"failed: {run.reason}"].append(run.seed)
        elif run.seed in kept:
            reasons[f"the same run as {kept[run.seed].run_id[:12]}, measured at other epochs"].append(run.seed)
        else:
            kept[run.seed] = run
    return list(kept.values()), [Excluded(name, tuple(seeds), reason) for reason, seeds in reasons.items()]


def _groups(rows: Sequence[Sequence[_Run]]) -> list[str]:
    """Letter the rows, best first; a row without a measured spread takes no part."""
    judged = [i for i, runs in enumerate(rows) if len(runs) > 1 and any(run.status == "completed" for run in runs)]
    resolution = max((run.resolution for i in judged for run in rows[i]), default=0.0)
    differ = ties.different([[run.accuracy for run in rows[i]] for i in judged], resolution=resolution)
    groups = [""] * len(rows)
    for i, letters in zip(judged, ties.compact_letters(differ, range(len(judged))), strict=True):
        groups[i] = letters
    return groups


def _deviation(rows: Sequence[Sequence[_Run]]) -> float | None:
    clean = [runs for runs in rows if len(runs) > 1 and all(run.status == "completed" for run in runs)]
    if not clean:
        return None
    rounding = max(run.resolution for runs in clean for run in runs) / 12**0.5
    return max(pooled_deviation([[run.accuracy for run in runs] for runs in clean]), rounding)


def _row(group: str, label: str, method: Mapping[str, Any], runs: Sequence[_Run], apart: set[str]) -> Row:
    accuracies = tuple(run.accuracy for run in runs)
    interval = t_interval(accuracies) if len(runs) > 1 else None
    done = [run for run in runs if run.status == "completed"]
    gradients = sum(run.gradients for run in done)
    keys = [key for key in method if key.startswith("hyper.") or key in apart]
    return Row(
        group=group,
        label=label,
        name=short_name(method),
        status=next((run.implementation for run in runs if run.implementation != VERIFIED), VERIFIED),
        settings={key.removeprefix("hyper."): method[key] for key in sorted(keys, key=_hyper_first)},
        accuracies=accuracies,
        seeds=tuple(run.seed for run in runs),
        accuracy=fmean(accuracies),
        low=interval and interval.low,
        high=interval and interval.high,
        diverged=len(runs) - len(done),
        gradient_evaluations=fmean(run.gradients for run in done) if done else None,
        forward_evaluations=fmean(run.forwards for run in done) if done else None,
        train_seconds=fmean(run.seconds for run in done) if done else None,
        seconds_per_gradient=sum(run.seconds for run in done) / gradients if gradients else None,
        sources=len({run.source for run in runs}),
    )


def _hyper_first(key: str) -> tuple[bool, str]:
    return not key.startswith("hyper."), key
