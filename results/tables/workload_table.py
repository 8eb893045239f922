"""The tables of a leaderboard from a collection of runs: typed values that texts and figures show."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..records.record import RunRecord
from ..statistics.intervals import detectable_difference
from ..statistics.multiple_comparisons import detectable_in_groups
from ..statistics.pairs import LEAST_PAIRS, LEAST_RUNS, detectable_within_seed
from .comparability import common
from .grouping import Collection
from .rows import CountedRow, Excluded, Row, deviation, make_rows, select, typical_difference


@dataclass(frozen=True, slots=True)
class Workload:
    """The table of runs that may be compared, best method first.

    Attributes:
        key: canonical text of the workload, equal for runs that may be compared.
        title: name for people, unique among the workloads of a store.
        shared: the part of the spec that all runs share, with the fingerprint of the data.
        common: the settings that all methods share.
        rows: one a method, by mean accuracy, highest first; equal ones by name.
        excluded: failed and retracted runs and repeated seeds.
        hardware: (name of the hardware, number of runs on it), sorted.
        commits: (commit or release of the code, number of runs with it), sorted.
        deviation: standard deviation over seeds, pooled over the rows without divergence; ``None`` if there are none.
        within_seed: standard deviation of a difference within the seed, over all pairs of such rows; ``None`` if their
            seeds in common are too few.
        detectable: for the smallest and the largest number of runs n in a row: (n, the difference of two such rows that
            is found with 80 % power when only they are compared, the same when all rows are compared at once).
    """

    key: str
    title: str
    shared: dict[str, Any]
    common: dict[str, Any]
    rows: tuple[Row, ...]
    excluded: tuple[Excluded, ...]
    hardware: tuple[tuple[str, int], ...]
    commits: tuple[tuple[str, int], ...]
    deviation: float | None
    within_seed: float | None
    detectable: tuple[tuple[int, float, float], ...]

    @property
    def runs(self) -> int:
        """Number of runs in all rows."""
        return sum(row.n for row in self.rows)


def summarize(records: Iterable[RunRecord]) -> list[Workload]:
    """Group records, in any order, into workloads and rows; search runs are left out."""
    return tables(Collection(records))


def tables(
    collection: Collection, only: frozenset[str] | None = None, retracted: Mapping[str, str] | None = None
) -> list[Workload]:
    """Make the table of every workload that has runs.

    Args:
        collection: all runs of a store.
        only: ids of the runs that the tables may count; all by default.
        retracted: run id -> why the run was retracted.
    """
    found = []
    for key, name in collection.workloads().items():
        if methods := collection.methods(key, only):
            counted, excluded = select(methods, retracted)
            found.append(_workload(key, name, collection.shared[key], counted, excluded))
    return found


def _workload(
    key: str, title: str, shared: dict[str, Any], counted: list[CountedRow], excluded: list[Excluded]
) -> Workload:
    spread, within = deviation(counted), typical_difference(counted)
    compared = [len(runs) for *_, runs in counted if len(runs) >= LEAST_RUNS]
    sizes = sorted({min(compared), max(compared)}) if compared and spread is not None else []
    shown = [run for *_, runs in counted for run in runs]
    return Workload(
        key=key,
        title=title,
        shared=shared,
        common=common([method for _, method, _ in counted]),
        rows=tuple(make_rows(counted)),
        excluded=tuple(excluded),
        hardware=tuple(sorted(Counter(run.hardware for run in shown).items())),
        commits=tuple(sorted(Counter(run.commit or "unknown" for run in shown).items())),
        deviation=spread,
        within_seed=within,
        detectable=tuple(
            (
                n,
                within * detectable_within_seed(n)
                if within is not None and n >= LEAST_PAIRS
                else spread * detectable_difference(n),
                spread * detectable_in_groups(n, max(2, len(compared))),
            )
            for n in sizes
            if spread is not None
        ),
    )
