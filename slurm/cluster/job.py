"""The payload of a job: make its runs from wherever they are, and stop with a checkpoint when the scheduler says so.

Every start is the same, be it the first, one after a preemption, or one after the death of a node: runs with a record
are skipped, runs with a checkpoint go on from it. Nothing is handed from one start to the next but the results folder.

Signals. ``USR2`` announces the time limit, or a preemption: checkpoint, ask for the requeue, end. ``TERM`` precedes a
kill, which this job cannot tell from any other: checkpoint, and go on. If the kill comes, nothing is lost and the
scheduler decides what becomes of the job; if not, no more than a second.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ...atomic import atomic_write_bytes
from ...benchmarks.distributed.rendezvous import DistributedEnvironment, read_environment
from ...benchmarks.training.checkpoint import Checkpoints
from ...benchmarks.training.signals import Note
from ...errors import SambenchError
from ...results.records.lease import Holder, job_id, lease_status
from ...results.records.store import Store
from ..events import FINAL, RunEvent
from ..local import run_pool
from ..options import RunOptions
from ..plan import Planned
from ..worker import run_here
from .srun_worker import run_as_worker
from .submission import Submission, check_private

POLL_SECONDS = 5.0
"""Seconds between two looks at a run that another process holds."""
MAX_STALLED_RESTARTS = 3
"""Starts in a row without a new step after which a job no longer asks for another."""
LOG_INTERVAL_SECONDS = 30.0
"""Seconds between two lines of the log about the steps of a run."""


@dataclass(frozen=True)
class Job:
    """The payload of a job: where its launch lies, and which lines of ``runs.jsonl`` are its runs."""

    folder: str
    spans: tuple[tuple[int, int], ...]

    def __call__(self) -> dict[str, str]:
        check_private(Path(self.folder))
        launch = Submission(Path(self.folder))
        remove_half_results()
        options, signals = launch.options, Signals()
        options.load_plugins()  # this process names runs, whichever makes them
        runs = launch.read_runs(self.spans)
        if (environment := read_environment()) is not None:
            return run_as_task(runs[0], options, environment, signals, self.notes)
        profile = launch.profile
        return work(runs, options, profile.at_a_time, signals, self.notes, profile.processes)

    @property
    def notes(self) -> Path:
        """File in which this job counts its starts that made no new step."""
        return Submission(Path(self.folder)).jobs_folder / f"{job_id()}_stalled.txt"

    def checkpoint(self) -> object:
        """What submitit calls on a signal that comes before :class:`Signals` listens: start again, as always."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Signals:
    """Remembers that the scheduler announced the end of this job.

    It replaces submitit's handlers, which would stop a step half way, count every signal in a short job as a time-out,
    and write their state in place.
    """

    def __init__(self) -> None:
        self._end = Note()
        signal.signal(signal.SIGUSR2, self._end)
        signal.signal(signal.SIGTERM, lambda *_: None)  # before a run has begun there is nothing to save

    @property
    def leave(self) -> bool:
        """Whether the scheduler announced the end of this job."""
        return self._end.came


def work(
    runs: tuple[Planned, ...],
    options: RunOptions,
    at_a_time: int,
    signals: Signals,
    notes: Path,
    processes: int | None = None,
) -> dict[str, str]:
    """Make runs until all have ended, or the scheduler wants the machine.

    Args:
        runs: the runs of this job.
        options: folder, device, threads and data of the runs.
        at_a_time: number of runs made at the same time.
        signals: signals that the scheduler sent to this job.
        notes: file in which starts that made no new step are counted.
        processes: number of processes that make them; by default one for each.

    Returns:
        How each run ended, by run id.

    Raises:
        SambenchError: some have no final record, though all were tried; the others are not affected.
        SystemExit: the job was requeued.
    """
    ended: dict[str, str] = {}
    log, before, todo = JobLog(), _progress(runs, options), runs
    while todo:
        if signals.leave:
            requeue(_progress(runs, options) > before, notes)
        if len(runs) > 1:  # a run that dies takes its process along, and no run of another
            ended |= run_pool(todo, options, at_a_time, log, lambda: signals.leave, processes)
        else:
            ended |= run_here(todo, options, log)
        # Interrupted or not reached: a signal came, and unless it was the one to leave, they go on.
        todo = tuple(run for run in todo if ended.get(run.spec.run_id, "interrupted") == "interrupted")
        todo = todo or tuple(
            run for run in runs if ended[run.spec.run_id] == "held" and _comes_free(run, options, signals)
        )
    bad = {run_id: kind for run_id, kind in ended.items() if kind not in (*FINAL, "held")}
    if bad:
        raise SambenchError("; ".join(f"run {run_id[:12]} {kind}" for run_id, kind in bad.items()))
    return ended


def run_as_task(
    run: Planned, options: RunOptions, environment: DistributedEnvironment, signals: Signals, notes: Path
) -> dict[str, str]:
    """Make a run together with the other tasks of this job step; see :func:`.srun_worker.run_as_worker`.

    ``TERM`` is ignored here: tasks that stopped for it could not find each other a second time to go on.

    Args:
        run: the same in every task.
        options: how it is made.
        environment: rank of this task and number of tasks.
        signals: what the scheduler announced.
        notes: file in which starts without a new step are counted.

    Returns:
        run id -> how the run ended.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    options.prepare()
    store, before = Store(options.results), _progress((run,), options)
    if lease_status(store.checkpoints(run.spec.run_id))[0] and not _comes_free(run, options, signals):
        return {run.spec.run_id: "held"}
    return run_as_worker(
        run, options, environment, JobLog(), lambda: requeue(_progress((run,), options) > before, notes)
    )


class JobLog:
    """Writes the log of a job: starts and ends of runs, and from time to time their steps."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def __call__(self, event: RunEvent) -> None:
        run_id, now = event.run.spec.run_id, time.monotonic()
        if event.kind == "step" and now - self._said.get(run_id, now) < LOG_INTERVAL_SECONDS:
            self._said.setdefault(run_id, now)
            return
        self._said[run_id] = now
        what = f"step {event.step} of {event.run.steps}" if event.kind == "step" else event.kind
        text = f": {event.text}" if event.text else ""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        print(f"{stamp} {run_id[:12]} {event.run.spec.label()} {what}{text}", flush=True)


def _comes_free(run: Planned, options: RunOptions, signals: Signals) -> bool:
    """Wait until it is clear what becomes of a run that another process holds; return whether it is to be made here.

    It is not when its record appears, or when its holder, in another job, is seen alive. A holder in this very job is
    an earlier start of it that its node did not end; that one may be ended at any moment, so this one waits.
    """
    store, first = Store(options.results), None
    while not signals.leave:
        if store.has(run.spec.run_id):
            return False
        held, holder = lease_status(store.checkpoints(run.spec.run_id))
        if not held:
            return True
        first = first or holder
        if _is_alive_elsewhere(first, holder):
            return False
        time.sleep(POLL_SECONDS)
    return True


def _is_alive_elsewhere(first: Holder | None, holder: Holder | None) -> bool:
    return first is not None and holder is not None and holder.job != job_id() and holder.seconds != first.seconds


def _progress(runs: tuple[Planned, ...], options: RunOptions) -> tuple[int, int]:
    """Return how many runs have ended, and the steps of the checkpoints of the others."""
    store = Store(options.results)
    open_ids = [run.spec.run_id for run in runs if not store.has(run.spec.run_id)]
    steps = sum(Checkpoints(store.checkpoints(run_id), run_id, "").newest_step() for run_id in open_ids)
    return len(runs) - len(open_ids), steps


def requeue(progressed: bool, notes: Path) -> None:
    """Ask the scheduler to start this job again, and end.

    Raises:
        SystemExit: it will.
        SambenchError: it will not, or many starts in a row have brought nothing.
    """
    job = job_id()
    count = 0 if progressed else 1 + int(notes.read_text() if notes.exists() else 0)
    atomic_write_bytes(notes, str(count).encode())
    if count >= MAX_STALLED_RESTARTS:
        raise SambenchError(
            f"job {job} was started {count} times in a row without making a step: the time limit is too short for one "
            "step with start-up and checkpoint; launch again with a longer --time"
        )
    print(f"job {job} asks to be started again; its checkpoints are written", flush=True)
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        raise SambenchError(
            f"job {job} cannot be requeued: {reason}. Its checkpoints are written; `sambench retry` goes on with them"
        ) from error
    sys.exit(1)


def remove_half_results() -> None:
    """Remove what a killed write of submitit left: it refuses to write beside such a file, at every later start."""
    folder, job, task = (os.environ.get(key) for key in ("SUBMITIT_FOLDER", "SLURM_JOB_ID", "SLURM_PROCID"))
    if folder and job:
        for name in (f"{job_id()}_{task or 0}_result.pkl", f"{job_id()}_submitted.pkl"):
            (Path(folder) / f"{name}.save_tmp").unlink(missing_ok=True)
