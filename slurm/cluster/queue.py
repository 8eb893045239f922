"""What SLURM's queue and accounting say of the runs that nobody holds."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...errors import SambenchError
from ...results.records.store import Store
from ..run_status import RunStatus
from . import commands as scheduler
from .commands import ACTIVE, WAITING, JobInfo
from .submission import Submission

REQUEUE_GRACE_SECONDS = 60.0
"""Seconds that SLURM may take to tell of a job, or to requeue one that ended with its node."""
_NEVER = ("PartitionTimeLimit", "PartitionNodeLimit", "WallDurationPerJobLimit", "PerJobLimit", "PerNodeLimit")
"""Reasons of a limit that time does not lift; others, as that of an array's own parallelism, pass by themselves."""
_NEVER += ("BadConstraints", "Invalid", "Held", "held", "ReqNodeNotAvail", "NodeDown", "NeverSatisfied")


@dataclass(frozen=True)
class LastJob:
    """The job that was to make a run last.

    Args:
        id: SLURM's id of the job.
        launched: time of submission, seconds since the epoch.
        cancelled: whether ``sambench cancel`` cancelled it.
    """

    id: str
    launched: float
    cancelled: bool


@dataclass(frozen=True)
class Queue:
    """What SLURM says of the jobs of some launches, asked once for all of them.

    Args:
        elements: what SLURM knows of each job, by job id.
        silent: the reason why SLURM gave no answer; empty if it did.
        asleep: whether SLURM is installed but did not answer in time, so that its jobs may go on.
    """

    elements: dict[str, JobInfo]
    silent: str = ""
    asleep: bool = False

    @classmethod
    def of(cls, submissions: Iterable[Submission]) -> "Queue":
        """Ask about launches; one that cannot be asked about leaves every job unknown and says why.

        The accounts are asked about the arrays that the queue does not know every job of: their answer takes long.
        """
        submissions = list(submissions)
        if not submissions:
            return cls({})
        submitted = [(launch, launch.arrays()) for launch in submissions]
        names = [launch.name(number) for launch, arrays in submitted for number in range(len(arrays))]
        try:
            known = scheduler.queue(names)
        except SambenchError as error:
            return cls({}, str(error), asleep=isinstance(error, scheduler.NoAnswer))
        forgotten = [a.id for _, arrays in submitted for a in arrays if not known.keys() >= set(a.elements())]
        return cls({**scheduler.sacct(forgotten), **known})

    def may_go_on(self, launch: Submission, run_id: str) -> bool:
        """Tell whether the job of a run in one of the launches waits or runs, as far as SLURM says."""
        number = launch.job_of[run_id]
        if (array := launch.array_of(number)) is None:
            return False
        element = self.elements.get(array.elements()[number - array.first])
        if element is None:
            return self.asleep or time.time() - launch.about["created"] < REQUEUE_GRACE_SECONDS
        return element.state in (*WAITING, *ACTIVE)


def last_jobs(submissions: list[Submission]) -> dict[str, list[LastJob | None]]:
    """Return the jobs of every run, the newest first; None for a launch in which its job was not submitted yet."""
    found: dict[str, list[LastJob | None]] = defaultdict(list)
    for launch in reversed(submissions):
        launched, cancelled, submitted = launch.about["created"], launch.cancelled(), {}
        for array in launch.arrays():
            for number, id_ in enumerate(array.elements(), array.first):
                submitted[number] = LastJob(id_, launched, array.id in cancelled)
        for run_id, number in launch.job_of.items():
            found[run_id].append(submitted.get(number))
    return found


def deciding_job(jobs: Sequence[LastJob | None], queue: Queue) -> LastJob | None:
    """Pick the job that decides the state of a run: the newest that waits or runs, else the newest."""
    for job in jobs:
        if job and (element := queue.elements.get(job.id)) and element.state in (*WAITING, *ACTIVE):
            return job
    return jobs[0] if jobs else None


def from_queue(
    status: RunStatus, run_id: str, job: LastJob | None, queue: Queue, failed: bool, store: Store
) -> RunStatus:
    """Return the status of a run that no process holds, from the job that was to make it."""
    error = (store.read(run_id).error or "") if failed else ""
    if job is None:
        return replace(status, state="failed", text=error) if failed else status
    element = queue.elements.get(job.id)
    status = replace(status, job=job.id)
    if element and element.state in (*WAITING, *ACTIVE):
        return _alive(status, element, failed and failed_since(store, run_id, job.launched), error)
    if failed:
        return replace(status, state="failed", text=error)
    if job.cancelled and (element is None or element.state == "CANCELLED"):
        return replace(status, state="cancelled", text="by sambench cancel")
    if queue.silent:
        return replace(status, text=f"SLURM does not answer: {queue.silent}", alive=queue.asleep)
    if element is None and time.time() - job.launched < REQUEUE_GRACE_SECONDS:
        return replace(status, alive=True)
    if element is None:
        return replace(status, state="lost", text="SLURM does not know its job")
    if (
        element.ended is not None
        and time.time() - element.ended < REQUEUE_GRACE_SECONDS
        and element.state == "NODE_FAIL"
    ):
        return replace(status, state="preempted", text="its node died; SLURM is about to start it again", alive=True)
    if element.state == "PREEMPTED":
        return replace(status, state="lost", text="preempted, and not requeued by this cluster: sambench retry")
    return replace(status, state="lost", text=f"job ended as {element.state}, {element.reason}")


def _alive(status: RunStatus, element: JobInfo, failed: bool, error: str) -> RunStatus:
    if failed:  # its job goes on with other runs
        return replace(status, state="failed", text=error)
    if element.state in WAITING:
        never = any(word in element.reason for word in _NEVER)
        text = f"queued: {element.reason or element.state}" + (" (may never start)" if never else "")
        return replace(status, text=text, alive=True)
    return replace(status, text=f"job {element.state.lower()}", alive=True)


def failed_since(store: Store, run_id: str, launched: float) -> bool:
    """Tell whether an attempt at a run has failed since a moment, in seconds since the epoch."""
    try:
        return store.failed_path(run_id).stat().st_mtime > launched
    except FileNotFoundError:
        return False
