"""What is heard of a run while it is made."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..benchmarks.training.state import Advance, TrainState
from .plan import Planned

EVENT_INTERVAL_SECONDS = 0.5
"""Seconds between two reports of one worker."""
FINAL = ("completed", "diverged")
"""How a run ends for good."""


@dataclass(frozen=True)
class RunEvent:
    """What is heard of a run: it ``started``, moved on (``step``), or ended as ``completed``, ``diverged``, ``failed``,
    ``interrupted``, ``held`` (somebody else makes it) or ``lost`` (its process died)."""

    kind: str
    worker: int
    run: Planned
    step: int = 0
    text: str = ""


Listen = Callable[[RunEvent], None]


def report_steps(listen: Listen, worker: int, run: Planned) -> Callable[[TrainState], Advance]:
    """Return what a run is watched by: the listener hears of its steps, not more often than every ``TICK`` seconds."""

    def watch(training: TrainState) -> Advance:
        last = time.monotonic()

        def advance(state: Any) -> None:
            nonlocal last
            if time.monotonic() - last >= EVENT_INTERVAL_SECONDS:
                last = time.monotonic()
                listen(RunEvent("step", worker, run, state.step))

        return advance

    return watch
