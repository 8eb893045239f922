"""Events of a run while it is made: started, steps, how it ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..benchmarks.training.state import Advance, TrainState
from .plan import Planned

EVENT_INTERVAL_SECONDS = 0.5
"""Seconds between two reports of one worker."""
ONGOING = ("started", "step")
"""Events of a run that has not ended."""
FINAL = ("completed", "diverged")
"""How a run ends for good."""


@dataclass(frozen=True)
class RunEvent:
    """One event of a run: it ``started``, made steps (``step``), or ended as ``completed``, ``diverged``, ``failed``,
    ``interrupted``, ``held`` (another process makes it) or ``lost`` (its process died).

    Args:
        kind: one of the words above.
        worker: number of the worker process, from 0.
        run: the run that the event is about.
        step: number of steps done.
        text: reason of an end that is not ``completed``.
    """

    kind: str
    worker: int
    run: Planned
    step: int = 0
    text: str = ""


Listen = Callable[[RunEvent], None]


def report_steps(
    listen: Listen, worker: int, run: Planned, then: Callable[[], None] = lambda: None
) -> Callable[[TrainState], Advance]:
    """Return a ``watch`` for :func:`run_spec` that reports steps, at most one every ``EVENT_INTERVAL_SECONDS``.

    Args:
        listen: is told of the steps.
        worker: number of the worker that makes them.
        run: the run.
        then: called after every step and every epoch.
    """

    def watch(training: TrainState) -> Advance:
        last = time.monotonic()

        def advance(state: Any) -> None:
            nonlocal last
            if time.monotonic() - last >= EVENT_INTERVAL_SECONDS:
                last = time.monotonic()
                listen(RunEvent("step", worker, run, state.step))
            then()

        return advance

    return watch
