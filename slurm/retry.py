"""Which runs are tried again: those that failed or were lost and have attempts left."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..benchmarks.spec import RunSpec
from ..benchmarks.suites.suite import Suite
from ..results.records.store import Store
from .cluster.submission import Submission
from .status import RunStatus

RETRYABLE_STATES = ("failed", "lost")
"""The states of runs that are tried again."""
RETRIES = "retries.jsonl"
"""File of a results folder: a line for each time that runs were tried again without a cluster, their ids."""


@dataclass(frozen=True)
class RetrySelection:
    """What is to be tried again.

    Args:
        specs: the runs.
        given_up: runs that had all their attempts.
        attempts: launches that the most tried of ``specs`` was in.
        most: attempts that a run may have.
    """

    specs: tuple[RunSpec, ...]
    given_up: tuple[RunSpec, ...]
    attempts: int
    most: int

    def explain(self) -> Iterator[str]:
        yield f"{len(self.specs)} runs to try again"
        for spec in self.given_up:
            yield f"given up after {self.most} attempts: {spec.run_id[:12]} {spec.label()}"

    def part_of(self, suite: Suite) -> Suite:
        """Return the suite with these runs alone."""
        return replace(suite, specs=self.specs)


def pick_for_retry(
    found: list[RunStatus], submissions: list[Submission], most: int, here: Mapping[str, int] = MappingProxyType({})
) -> RetrySelection:
    """Choose the failed and lost runs that have not had all their attempts.

    Args:
        found: the run statuses of a suite.
        launches: of its results folder; each whose job for a run was submitted and not taken back is an attempt.
        most: attempts that a run may have.
        here: run id -> how often it was tried again without a cluster.
    """
    given: Counter[str] = Counter()
    for launch in submissions:
        cancelled = launch.cancelled()
        for array in launch.arrays():
            if array.id not in cancelled:
                jobs = launch.jobs[array.first : array.first + array.count]
                given.update(run_id for runs in jobs for run_id in runs)
    again = [s.spec for s in found if s.state in RETRYABLE_STATES]
    tried = {spec.run_id: max(1, given[spec.run_id]) + here.get(spec.run_id, 0) for spec in again}
    open_ = [spec for spec in again if tried[spec.run_id] < most]
    return RetrySelection(
        specs=tuple(open_),
        given_up=tuple(spec for spec in again if tried[spec.run_id] >= most),
        attempts=max((tried[spec.run_id] for spec in open_), default=0),
        most=most,
    )


def local_retries(store: Store) -> Mapping[str, int]:
    """Count how often each run was tried again on this side of the scheduler."""
    try:
        lines = (store.root / RETRIES).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return Counter(run_id for line in lines if line.endswith("]") for run_id in json.loads(line))


def note_retry(store: Store, specs: Iterable[RunSpec]) -> None:
    """Write down that runs are tried again here, where no launch says so."""
    with (store.root / RETRIES).open("a") as file:
        file.write(json.dumps([spec.run_id for spec in specs]) + "\n")
