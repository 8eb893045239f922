"""The state of every run of a suite: from its record, else its lease and checkpoints, else the queue of the cluster."""

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ..benchmarks.suites.index import SuiteIndex
from ..benchmarks.training.checkpoint import Checkpoints
from ..results.records.epochs import EPOCHS, read_epochs
from ..results.records.lease import filesystem_time, lease_status
from ..results.records.store import Store
from .cluster.queue import Queue, deciding_job, from_queue, last_jobs
from .cluster.submission import list_submissions
from .run_status import RunStatus

if TYPE_CHECKING:
    from ..benchmarks.suites.suite import Suite


def run_statuses(suite: "Suite | SuiteIndex", store: Store, now: float | None = None) -> list[RunStatus]:
    """Return the status of every run, in the order of the suite.

    Args:
        suite: the suite, or its index of run ids and labels.
        store: results folder in which the runs are made.
        now: seconds since the epoch by which leases expire; asked of the file system, by writing to it, unless given.

    ``done`` and ``diverged`` have a final record, ``failed`` that of a failed attempt that nobody is about to repeat.
    ``running`` is held by a live process. ``preempted`` stopped with a checkpoint, or lost its node and is about to be
    started again. ``pending`` has not begun. ``lost`` was given to a job that ended without a record. ``cancelled`` is
    what this suite's ``cancel`` took back.
    """
    ids = suite.run_ids
    statuses = store.statuses()
    open_ids = {run_id for run_id in ids if statuses.get(run_id) in (None, "failed")}
    submissions = [launch for launch in list_submissions(store.root) if open_ids & launch.job_of.keys()]
    queue = Queue.of(submissions)
    jobs = last_jobs(submissions)
    started = _started(store)
    if now is None:
        now = filesystem_time(store.root) if started else time.time()
    found = []
    for run_id, label in zip(ids, suite.labels, strict=True):
        recorded = statuses.get(run_id)
        if recorded not in (None, "failed"):
            found.append(_ended(run_id, label, recorded))
            continue
        status = _unfinished(run_id, label, store, now) if run_id in started else RunStatus(run_id, label, "pending")
        if status.state != "running":
            job = deciding_job(jobs.get(run_id, ()), queue)
            status = from_queue(status, run_id, job, queue, recorded == "failed", store)
        found.append(status)
    return found


def _ended(run_id: str, label: str, status: str) -> RunStatus:
    if status == "damaged":
        return RunStatus(run_id, label, "failed", text="its record cannot be read; restore the file, or move it away")
    return RunStatus(run_id, label, "done" if status == "completed" else status)


def _started(store: Store) -> set[str]:
    """Run ids that have a folder: a process holds them, or they have a checkpoint."""
    try:
        return set(os.listdir(store.root / "checkpoints"))
    except FileNotFoundError:
        return set()


def _unfinished(run_id: str, label: str, store: Store, now: float) -> RunStatus:
    folder = store.checkpoints(run_id)
    held, holder = lease_status(folder, now)
    lines, others = read_epochs(folder)
    step = Checkpoints(folder, run_id, fingerprint="").newest_step()
    total = lines[-1].steps if lines else holder.total if holder else 0
    text = f"{others} lines of its {EPOCHS} are none" if others else ""
    state = "preempted" if step else "pending"
    status = RunStatus(run_id, label, state, step, total, text=text, curve=tuple(lines))
    if not held:
        return status
    made = max(step, holder.step if holder else 0, lines[-1].step if lines else 0)
    left = holder.remaining if holder else None
    if lines and lines[-1].step:  # told every epoch, where leases are renewed every few seconds
        left = lines[-1].seconds / lines[-1].step * max(0, total - made)
    job = holder.job if holder else ""
    return replace(status, state="running", step=made, seconds=left, job=job, alive=True)
