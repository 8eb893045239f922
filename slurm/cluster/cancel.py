"""Cancelling the jobs of a suite."""

from ...results.records.store import Store
from . import commands as scheduler
from .commands import ACTIVE, WAITING
from .queue import Queue
from .submission import list_submissions


def cancel_suite(suite: str, store: Store) -> int:
    """Cancel the jobs of a suite's launches that wait or run, and return how many those were.

    Args:
        suite: name of the suite.
        store: results folder that it was launched into.

    The cancellation is written down before it is asked for: a job that SLURM then forgets is known as cancelled.

    Raises:
        ConfigError: SLURM is not here.
        NoAnswer: it does not answer.
    """
    submissions = list_submissions(store.root, suite)
    if not submissions:
        return 0
    scheduler.check_present()
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
