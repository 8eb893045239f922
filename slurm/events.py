"""What is heard of a run while it is made."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..benchmarks.training.state import Advance, Training
from .plan import Planned

TICK = 0.5
"""Seconds between two reports of one worker."""
FINAL = ("completed", "diverged")
"""How a run ends for good."""


@dataclass(frozen=True)
class Event:
    """What is heard of a run: it ``started``, moved on (``step``), or ended as ``completed``, ``diverged``, ``failed``,
    ``interrupted``, ``held`` (somebody else makes it) or ``lost`` (its process died)."""

    kind: str
    worker: int
    run: Planned
    step: int = 0
    text: str = ""


Listen = Callable[[Event], None]


def report_steps(listen: Listen, worker: int, run: Planned) -> Callable[[Training], Advance]:
    """Return what a run is watched by: the listener hears of its steps, not more often than every ``TICK`` seconds."""

    def watch(training: Training) -> Advance:
        last = time.monotonic()

        def advance(state: Any) -> None:
            nonlocal last
            if time.monotonic() - last >= TICK:
                last = time.monotonic()
                listen(Event("step", worker, run, state.step))

        return advance

    return watch
