"""The state of one run of a suite, as ``sambench status`` shows it."""

from dataclasses import dataclass

from ..benchmarks.spec import RunSpec

STATES = ("done", "diverged", "failed", "running", "preempted", "pending", "lost", "cancelled")


@dataclass(frozen=True)
class RunStatus:
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
