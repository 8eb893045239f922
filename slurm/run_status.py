"""The state of one run of a suite, as ``sambench status`` shows it."""

from dataclasses import dataclass

from ..results.records.epochs import EpochLine

STATES = ("done", "diverged", "failed", "running", "preempted", "pending", "lost", "cancelled")


@dataclass(frozen=True)
class RunStatus:
    """The state of one run.

    Args:
        run_id: sha256 of the run's spec.
        label: the run in short, for people: variant, hyper-parameters, seed.
        state: one of ``STATES``; :func:`~sambench.slurm.status.run_statuses` says what they mean.
        step: last step that is done, or that the newest checkpoint holds.
        total: steps of the whole run, 0 where they are not known.
        seconds: estimated seconds to its end, while it runs.
        job: SLURM's id of the job that makes it, or made it last.
        text: the reason of the state, for people.
        alive: whether a process makes it, or a job that waits or runs will.
        curve: the epochs that it has made, while it has no record.
    """

    run_id: str
    label: str
    state: str
    step: int = 0
    total: int = 0
    seconds: float | None = None
    job: str = ""
    text: str = ""
    alive: bool = False
    curve: tuple[EpochLine, ...] = ()
