"""How far every run of a suite is, from its records, leases, checkpoints and the queue of the cluster."""

import os
import time
from dataclasses import dataclass

from ..benchmarks.spec import RunSpec
from ..benchmarks.suites.suite import Suite
from ..benchmarks.training.checkpoint import Checkpoints
from ..results.records.lease import filesystem_time, look
from ..results.records.store import Store
from .cluster.queue import Queue, _jobs, _queued, _which
from .cluster.submission import list_launches

STATES = ("done", "diverged", "failed", "running", "preempted", "pending", "lost", "cancelled")
GRACE = 60.0
"""Seconds that SLURM may take to tell of a job, or to requeue one that ended with its node."""


@dataclass(frozen=True)
class Standing:
    """One run, and all that is known of it.

    Args:
        spec: the run.
        state: one of ``STATES``.
        step: that is done, or that the newest checkpoint has.
        total: steps of the whole run, 0 where they are not known.
        seconds: estimated to its end, while it runs.
        job: the scheduler's id of the job that makes it, or made it last.
        text: what more there is to say.
        alive: whether somebody makes it, or a job that waits or runs will.
    """

    spec: RunSpec
    state: str
    step: int = 0
    total: int = 0
    seconds: float | None = None
    job: str = ""
    text: str = ""
    alive: bool = False


def standings(suite: Suite, store: Store, now: float | None = None) -> list[Standing]:
    """Return the standing of every run, in the order of the suite.

    Args:
        suite: whose runs.
        store: where they are made.
        now: seconds since the epoch by which leases expire; asked of the file system, by writing to it, unless given.

    ``done`` and ``diverged`` have a final record, ``failed`` that of a failed attempt that nobody is about to repeat.
    ``running`` is held by a live process. ``preempted`` stopped with a checkpoint, or lost its node and is about to be
    started again. ``pending`` has not begun. ``lost`` was given to a job that ended without a record. ``cancelled`` is
    what this suite's ``cancel`` took back.
    """
    ids = suite.run_ids
    statuses = store.statuses()
    open_ids = {run_id for run_id in ids if statuses.get(run_id) in (None, "failed")}
    launches = [launch for launch in list_launches(store.root) if open_ids & launch.job_of.keys()]
    queue = Queue.of(launches)
    jobs = _jobs(launches)
    started = _started(store)
    if now is None:
        now = filesystem_time(store.root) if started else time.time()
    found = []
    for spec, run_id in zip(suite.specs, ids, strict=True):
        status = statuses.get(run_id)
        if status not in (None, "failed"):
            found.append(_ended(spec, status))
            continue
        standing = _unfinished(spec, run_id, store, now) if run_id in started else Standing(spec, "pending")
        if standing.state != "running":
            job = _which(jobs.get(run_id, ()), queue)
            standing = _queued(standing, run_id, job, queue, status == "failed", store)
        found.append(standing)
    return found


def _ended(spec: RunSpec, status: str) -> Standing:
    if status == "damaged":
        return Standing(spec, "failed", text="its record cannot be read; restore the file, or move it away")
    return Standing(spec, "done" if status == "completed" else status)


def _started(store: Store) -> set[str]:
    """The runs that have a folder of their own: held by somebody, or with a checkpoint."""
    try:
        return set(os.listdir(store.root / "checkpoints"))
    except FileNotFoundError:
        return set()


def _unfinished(spec: RunSpec, run_id: str, store: Store, now: float) -> Standing:
    folder = store.checkpoints(run_id)
    held, holder = look(folder, now)
    step = Checkpoints(folder, run_id, fingerprint="").newest_step()
    total = holder.total if holder else 0
    if held:
        step = max(step, holder.step if holder else 0)
        return Standing(
            spec, "running", step, total, holder and holder.remaining, holder.job if holder else "", alive=True
        )
    return Standing(spec, "preempted" if step else "pending", step, total)
