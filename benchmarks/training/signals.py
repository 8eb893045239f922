"""Stopping between steps: a signal asks, the loop answers when the state is whole."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None
"""What may handle a signal; None stands for a handler that was not set from Python."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2")
"""Signals of the keyboard, of kill, of a closed terminal, and of schedulers before a time limit."""


def known(*names: str) -> list[int]:
    """Return the numbers of signals, of those that this system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


class Note:
    """A handler that records a signal. A :class:`StopRequest` that begins later finds the record, so that no signal is
    lost between the start of a process and the first step of its run."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.came = True


def note_signals() -> None:
    """Let this process take note of signals from here on, so that only the training loop stops for them.

    For a process among several: what it does before and after the loop, such as writing why the run failed, is short,
    and launchers send a signal to all processes as soon as one has failed.
    """
    note = Note()
    for number in known(*SIGNALS):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, note)


def noted() -> bool:
    """Tell whether a signal came of which this process has taken note."""
    return any(isinstance(one := signal.getsignal(number), Note) and one.came for number in known(*SIGNALS))


class StopRequest:
    """Turns the first signal into a request that the training loop sees at the end of its step.

    A second signal acts at once, as if nobody listened. Outside the main thread no signal can be caught: there it goes
    by the notes that the process takes, see :class:`Note`.

    Args:
        once: take no notice of further signals. Processes that train one run together need some steps to agree on the
            step after which they stop, and launchers pass on a signal that the terminal or the scheduler sent already.
    """

    def __init__(self, once: bool = False) -> None:
        self.once, self._came = once, False
        self._before: dict[int, Handler] = {}
        self._notes: list[Note] = []

    @property
    def requested(self) -> bool:
        """Whether the loop is to stop."""
        return self._came or any(note.came for note in self._notes)

    def __enter__(self) -> "StopRequest":
        self._notes = [one for number in known(*SIGNALS) if isinstance(one := signal.getsignal(number), Note)]
        if threading.current_thread() is threading.main_thread():
            for number in known(*SIGNALS):
                if signal.getsignal(number) is signal.SIG_IGN:  # an ignored signal stays ignored
                    continue
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        before = self._before[number]
        if not self.once:
            signal.signal(number, before)
        if callable(before) and number != signal.SIGINT:  # a job that records signals records this one too
            before(number, frame)
