"""What the job of a run wrote: found by the run, read to its end, followed while it grows."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import ConfigError, StateError
from ..results.records.place import command
from ..results.records.store import Store
from .cluster.queue import Queue, failed_since
from .cluster.submission import list_submissions

LOG_POLL_SECONDS = 0.5
"""Seconds between two looks at a log that is followed."""
QUEUE_POLL_SECONDS = 10.0
"""Seconds between two questions to SLURM about its job."""


def find_log(store: Store, start: str) -> tuple[str, Path]:
    """Return a run's id and the log of the newest job that was to make it.

    Args:
        store: results folder whose submissions are searched.
        start: the first characters of the run's id.

    Raises:
        ConfigError: no launched run starts like this, or several do.
        StateError: its job was never submitted.
    """
    submissions = list_submissions(store.root)
    found = {run_id for launch in submissions for run_id in launch.job_of if run_id.startswith(start)}
    if len(found) > 1:
        raise ConfigError(
            f"run {start!r} is not one run: {', '.join(sorted(i[:12] for i in found)[:5])}; write more of it"
        )
    if not found:
        raise ConfigError(
            f"no launch in {store.root} has a run {start!r}; `{command('status --all', 'SUITE', store.root)}` shows "
            "the ids. Runs that were made in local processes have no log of their own: what went wrong is in their "
            "records"
        )
    run_id = found.pop()
    launch = next(launch for launch in reversed(submissions) if run_id in launch.job_of)
    path = launch.log(launch.job_of[run_id])
    if path is None:
        raise StateError(f"the job of run {run_id[:12]} was never submitted; launch the suite again")
    return run_id, path


def under_way(store: Store, run_id: str) -> Callable[[], bool]:
    """Return what tells whether a run's newest job may still write about it; SLURM is asked every ten seconds at most.

    It may not once the run has a record, that of an attempt of this job included, or the job has ended.
    """
    launch = next(launch for launch in reversed(list_submissions(store.root)) if run_id in launch.job_of)
    launched, asked, answer = launch.about["created"], -math.inf, True

    def tell() -> bool:
        nonlocal asked, answer
        if store.has(run_id) or failed_since(store, run_id, launched):
            return False
        if time.monotonic() - asked > QUEUE_POLL_SECONDS:
            answer, asked = Queue.of([launch]).may_go_on(launch, run_id), time.monotonic()
        return answer

    return tell


def follow(path: Path, go_on: Callable[[], bool]) -> Iterator[str]:
    """Yield the text of a file, and what is added to it while ``go_on`` says so; it need not exist yet."""
    offset = 0
    while True:
        last = not go_on()  # asked before reading: what was written until now is shown in any case
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(offset)
                if text := file.read():
                    offset = file.tell()
                    yield text
        if last:
            return
        time.sleep(LOG_POLL_SECONDS)
