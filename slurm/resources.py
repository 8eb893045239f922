"""Disk space and cluster time that a plan needs."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..results.records.place import command
from ..units import size
from .cluster.packing import Packed, chunks, periods
from .cluster.profile import Profile
from .plan import Plan

JOB_BYTES = 20_000
"""Room that one job takes: its payload, its log, what submitit keeps."""
CODE_BYTES = 3_000_000
"""Room that the copy of the code takes."""
FULL = 1_000_000
"""Room that is less than a record and a checkpoint of the smallest network take."""


@dataclass(frozen=True)
class Resources:
    """What a plan takes on a cluster.

    Args:
        jobs: number of jobs after packing.
        arrays: number of job arrays, one call of sbatch each.
        device_hours: hours of all GPUs (without GPUs: of all jobs), at the estimated speed.
        requeued: jobs that need more than one period under the time limit.
        starts: number of starts of all jobs together, requeues included.
        seconds: wall-clock time if everything starts at once, up to the array parallelism.
    """

    jobs: int
    arrays: int
    device_hours: float
    requeued: int
    starts: int
    seconds: float


def resources(jobs: tuple[Packed, ...], profile: Profile, max_array_size: int) -> Resources:
    """Add up what packed jobs take under a profile; several devices are taken to share a run without loss."""
    limit = 60.0 * profile.minutes - profile.warning_seconds
    times = [job.seconds / profile.devices for job in jobs]
    starts = [periods(seconds, limit) for seconds in times]
    parallel = max(1, min(len(jobs), profile.array_parallelism))
    work = sum(times)
    return Resources(
        jobs=len(jobs),
        arrays=len(chunks(len(jobs), max_array_size)) if jobs else 0,
        device_hours=work * max(1, profile.charged_gpus) / 3600,
        requeued=sum(start > 1 for start in starts),
        starts=sum(starts),
        seconds=max(work / parallel, max(times, default=0.0)),
    )


def disk_bytes(plan: Plan, at_once: int, jobs: int = 0) -> int:
    """Estimate the room that a plan needs at most: all records and kept models, and the checkpoints of the runs that
    are made at once."""
    code = CODE_BYTES if jobs else 0
    records = plan.record_bytes + plan.model_bytes
    return records + plan.checkpoint_bytes * min(at_once, len(plan.runs)) + JOB_BYTES * jobs + code


def check_room(results: Path, needed: int) -> None:
    """Refuse to start what the file system has no room for.

    Raises:
        ConfigError: there is less room than records and checkpoints need.
    """
    if (free := free_bytes(results)) < needed:
        raise ConfigError(
            f"{results} has room for {size(free)}, and the plan needs about {size(needed)}: free some space, choose "
            "another folder with --results DIR, or let fewer runs go on at the same time"
        )


def tell_full(results: Path) -> str:
    """Say that the file system of a folder is full, which runs that fail for it cannot write down; else nothing."""
    free = free_bytes(results)
    if free >= FULL:
        return ""
    again = command("retry", "SUITE", results)
    return f"no space left where {results} lies ({size(free)} free): free some, then `{again}`"


def free_bytes(folder: Path) -> int:
    """Return the bytes that a folder, which need not be there yet, has room for."""
    there = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.is_dir())
    return shutil.disk_usage(there).free
