"""Trying again the runs of a suite that failed or were lost and have attempts left."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from .. import units
from ..benchmarks.spec import RunSpec
from ..benchmarks.suites.suite import Suite
from ..markdown import count
from ..results.records.store import Store
from .cluster.submission import Submission, list_submissions
from .executor import Executor, SlurmExecutor
from .launch import Watch, carry_out, silent
from .options import RunOptions
from .run_status import RunStatus
from .status import run_statuses

RETRYABLE_STATES = ("failed", "lost")
"""The states of runs that are tried again."""
RETRIES = "retries.jsonl"
"""File of a results folder: a line for each time that runs were tried again without a cluster, their ids."""


def retry_suite(
    suite: Suite,
    options: RunOptions,
    executor: Executor,
    *,
    most: int = 3,
    backoff: float = 60.0,
    tell: Callable[[str], None] = print,
    watch: Watch = silent,
) -> dict[str, str]:
    """Make the failed and lost runs of a suite again, each at most so often, and later each time.

    Args:
        suite: the suite that the runs belong to.
        options: results folder, data and plug-ins of the runs.
        executor: where the runs are made again.
        most: most attempts at one run, the first one included.
        backoff: seconds before the second attempt; doubled for each further one.
        tell: is given lines of text on what is tried again, and when.
        watch: is given the plan; as in :func:`~sambench.slurm.launch.launch_suite`.

    Returns:
        How each run that was tried again ended, by run id.
    """
    store = Store(options.results)
    store.check_writable()
    statuses, submissions = run_statuses(suite, store), list_submissions(store.root)
    picked = pick_for_retry(suite, statuses, submissions, most, local_retries(store))
    for text in picked.explain():
        tell(text)
    if not picked.specs:
        return {}
    delay = int(backoff * 2 ** (picked.attempts - 1)) if picked.attempts else 0
    if isinstance(executor, SlurmExecutor):
        executor = replace(executor, delay=delay)
    else:
        if delay:
            tell(f"starting in {units.duration(delay)}")
            time.sleep(delay)
        note_retry(store, picked.specs)
    return carry_out(replace(suite, specs=picked.specs), options, executor, watch)


@dataclass(frozen=True)
class RetrySelection:
    """The runs of a suite that are tried again, and those that are not.

    Args:
        specs: runs to try again.
        given_up: runs that have used all their attempts.
        attempts: largest number of attempts so far of any run in ``specs``.
        most: most attempts that a run may have.
    """

    specs: tuple[RunSpec, ...]
    given_up: tuple[RunSpec, ...]
    attempts: int
    most: int

    def explain(self) -> Iterator[str]:
        yield f"{count(len(self.specs), 'run')} to try again"
        for spec in self.given_up:
            yield f"given up after {self.most} attempts: {spec.run_id[:12]} {spec.label()}"


def pick_for_retry(
    suite: Suite,
    found: list[RunStatus],
    submissions: list[Submission],
    most: int,
    here: Mapping[str, int],
) -> RetrySelection:
    """Choose the failed and lost runs that have not had all their attempts.

    Args:
        suite: the suite that the runs belong to.
        found: the status of each of its runs.
        submissions: submissions to SLURM from its results folder; each job that was submitted and not cancelled is an
            attempt at the runs in it.
        most: most attempts that a run may have.
        here: run id -> how often it was tried again without a cluster.
    """
    given: Counter[str] = Counter()
    for launch in submissions:
        cancelled = launch.cancelled()
        for array in launch.arrays():
            if array.id not in cancelled:
                jobs = launch.jobs[array.first : array.first + array.count]
                given.update(run_id for runs in jobs for run_id in runs)
    specs = dict(zip(suite.run_ids, suite.specs, strict=True))
    again = [specs[s.run_id] for s in found if s.state in RETRYABLE_STATES]
    tried = {spec.run_id: max(1, given[spec.run_id]) + here.get(spec.run_id, 0) for spec in again}
    open_ = [spec for spec in again if tried[spec.run_id] < most]
    return RetrySelection(
        specs=tuple(open_),
        given_up=tuple(spec for spec in again if tried[spec.run_id] >= most),
        attempts=max((tried[spec.run_id] for spec in open_), default=0),
        most=most,
    )


def local_retries(store: Store) -> Mapping[str, int]:
    """Count how often each run was tried again on this machine, without a scheduler."""
    try:
        lines = (store.root / RETRIES).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return Counter(run_id for line in lines if line.endswith("]") for run_id in json.loads(line))


def note_retry(store: Store, specs: Iterable[RunSpec]) -> None:
    """Record that runs are tried again on this machine, where no submission records it."""
    with (store.root / RETRIES).open("a") as file:
        file.write(json.dumps([spec.run_id for spec in specs]) + "\n")
