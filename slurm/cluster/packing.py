"""Putting runs into jobs, and jobs into arrays. Pure functions of the estimates."""

import heapq
import math
from dataclasses import dataclass

from ..plan import Planned

MARGIN = 60.0
"""Seconds of a job that go to starting Python, loading data and writing checkpoints."""


@dataclass(frozen=True)
class Packed:
    """The runs of one job.

    Args:
        runs: in the order in which they are made.
        seconds: estimated wall-clock time, with the job's runs at a time.
    """

    runs: tuple[Planned, ...]
    seconds: float


def pack(runs: tuple[Planned, ...], runs_per_job: int = 1, at_a_time: int = 1) -> tuple[Packed, ...]:
    """Fill jobs with runs, the longest first, so that the last job to start is a short one.

    Args:
        runs: what is to be done.
        runs_per_job: runs of one job, at most.
        at_a_time: runs that a job makes at the same time.

    Returns:
        Jobs; every run is in exactly one.
    """
    ordered = sorted(runs, key=lambda run: -run.seconds)
    groups = [tuple(ordered[first : first + runs_per_job]) for first in range(0, len(ordered), runs_per_job)]
    return tuple(Packed(group, _makespan([run.seconds for run in group], at_a_time)) for group in groups)


def chunks(count: int, most: int) -> list[tuple[int, int]]:
    """Cut ``count`` jobs into arrays of at most ``most``: (first, how many) of each, as equal as can be.

    Example:
        >>> chunks(10, 4)
        [(0, 4), (4, 3), (7, 3)]
    """
    arrays = -(-count // most)
    sizes = [count // arrays + (number < count % arrays) for number in range(arrays)]
    return [(sum(sizes[:number]), size) for number, size in enumerate(sizes)]


def periods(seconds: float, limit: float) -> int:
    """Return how many times a job has to be started under a time limit; both in seconds.

    Example:
        >>> periods(100, 3600), periods(8000, 3600)
        (1, 3)
    """
    return max(1, math.ceil(seconds / max(1.0, limit - MARGIN)))


def _makespan(seconds: list[float], at_a_time: int) -> float:
    """Time until all are done when each starts as soon as one before it ends."""
    slots = [0.0] * at_a_time
    for duration in seconds:
        heapq.heapreplace(slots, slots[0] + duration)
    return max(slots)
