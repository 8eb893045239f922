"""Runs that are made in threads of one process, each on a CUDA stream of its own, of which one computes at a time.

A step on a GPU is queued, not waited for, so the device works on the streams of all while each thread waits for its
turn, and threads that take turns race for nothing. Turns change between steps, where no pass is under way: what torch
keeps for a thread (current stream, autocast, gradient mode) is each run's own, and what it keeps for the process is
exchanged with the turn, so that a run has the bits of the run alone.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from queue import SimpleQueue
from typing import TypeVar

import torch

from ..device import generator_of
from ..precision import get_arithmetic, set_arithmetic
from .meters import RUNS_IN_PROCESS

T = TypeVar("T")


class Turns:
    """A lock that goes round: whoever holds it hands it on to the one that has waited longest.

    With it go what float32 means on CUDA and the generators that are drawn from by default. A thread that begins finds
    them as they were when the lock was made.

    Args:
        device: device that the threads compute on.
    """

    def __init__(self, device: torch.device) -> None:
        self._generators = list(dict.fromkeys((torch.default_generator, generator_of(device))))
        self._waiting: deque[threading.Event] = deque()
        """The first one has the turn."""
        self._guard = threading.Lock()
        self._set = self._kept()

    def __enter__(self) -> "Turns":
        self._wait()
        self._set()
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._waiting.popleft()
            if self._waiting:
                self._waiting[0].set()

    def hand_on(self) -> None:
        """Let everybody else who waits have a turn; return when it is this thread's again."""
        if len(self._waiting) > 1:
            restore = self._kept()
            self.__exit__()
            self._wait()
            restore()

    def _wait(self) -> None:
        mine = threading.Event()
        with self._guard:
            self._waiting.append(mine)
            if len(self._waiting) == 1:
                mine.set()
        mine.wait()

    def _kept(self) -> Callable[[], None]:
        """Return what sets what the process has now."""
        arithmetic, states = get_arithmetic(), [one.get_state() for one in self._generators]

        def restore() -> None:
            set_arithmetic(*arithmetic)
            for generator, state in zip(self._generators, states, strict=True):
                generator.set_state(state)

        return restore


@contextmanager
def in_turns(
    places: int, make: Callable[[T, Callable[[], None]], object], device: torch.device
) -> Iterator[Callable[[T], None]]:
    """Make what the block is given, so many at a time and each in its turn; the block's end waits for all of it.

    Args:
        places: number of threads.
        make: called in one of them, with what is to be made and what hands the turn on; must not raise.
        device: device that is computed on; on CUDA each thread has a stream.

    Yields:
        What takes the next thing to be made, and does not wait.
    """
    turns, todo, threads = Turns(device), SimpleQueue[T | None](), torch.get_num_threads()

    def work() -> None:
        torch.set_num_threads(threads)  # OpenMP has a number for each thread
        RUNS_IN_PROCESS.set(places)
        with _own_stream(device):
            while (one := todo.get()) is not None:
                with turns:
                    make(one, turns.hand_on)

    workers = [threading.Thread(target=work, name=f"place {number}") for number in range(places)]
    for worker in workers:
        worker.start()
    try:
        yield todo.put
    finally:
        for _ in workers:
            todo.put(None)
        for worker in workers:
            worker.join()


def _own_stream(device: torch.device) -> AbstractContextManager[object]:
    """Let this thread compute on a stream of its own, where there are streams, after all that was asked for before."""
    if device.type != "cuda":
        return nullcontext()
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.default_stream(device))
    return torch.cuda.stream(stream)
