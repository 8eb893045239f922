"""Cancelling the jobs of a suite."""

import re
from collections.abc import Iterable

from ...errors import ConfigError
from ...results.records.store import Store
from . import commands as scheduler
from .commands import ACTIVE, WAITING
from .queue import Queue
from .submission import Submission, list_submissions


def cancel_suite(suite: str, run_ids: Iterable[str], store: Store) -> int:
    """Cancel the jobs of a suite's launches that wait or run, those that measure too, and return how many those were.

    Args:
        suite: name of the suite.
        run_ids: ids of its runs: a launch that measures one of them alone goes by its id.
        store: results folder that it was launched into.

    The cancellation is written down before it is asked for: a job that SLURM then forgets is known as cancelled.

    Raises:
        ConfigError: SLURM is not here.
        NoAnswer: it does not answer.
    """
    runs = tuple(run_ids)
    submissions = [one for one in list_submissions(store.root) if one.arrays() and _is_of(one, suite, runs)]
    if not submissions:
        return 0
    try:
        scheduler.check_present()
    except ConfigError as error:
        raise ConfigError(
            f"this suite has launches on a cluster, the last one {submissions[-1].id}, and SLURM is not here: cancel "
            "their jobs where they were submitted"
        ) from error
    queue = Queue.of(submissions)
    if queue.silent:
        raise scheduler.NoAnswer(queue.silent)
    alive = {id_ for id_, element in queue.elements.items() if element.state in (*WAITING, *ACTIVE)}
    count = 0
    for launch in submissions:
        for array in launch.arrays():
            if there := sum(job in alive for job in array.elements()):
                launch.remember_cancelled(array)
                scheduler.cancel([array.id])
                count += there
    return count


def _is_of(launch: Submission, suite: str, run_ids: tuple[str, ...]) -> bool:
    """Tell whether a launch makes or measures runs of a suite."""
    named = str(launch.about["suite"])
    one = launch.measures and re.fullmatch("[0-9a-f]{6,64}", named)
    return named == suite or bool(one and any(run_id.startswith(named) for run_id in run_ids))
