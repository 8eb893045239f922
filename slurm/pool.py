"""Running a plan on this machine: several worker processes, each with its share of the cores.

A worker takes one run after the other, so that Python and torch start once. A worker that dies (out of memory, a
signal) takes its run with it and nothing else: the run counts as lost, and a new worker takes its place.
"""

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from ..benchmarks.environment import pick_device
from ..benchmarks.execute import execute
from ..benchmarks.interrupt import Interrupted
from ..benchmarks.training import Advance, Training
from ..errors import SambenchError
from ..results.store import Store
from ..variants import load_plugin
from .plan import Planned

TICK = 0.5
"""Seconds between two reports of one worker."""


@dataclass(frozen=True)
class Event:
    """What a worker says: a run ``started``, moved on (``step``), or ended as ``completed``, ``diverged``, ``failed``,
    ``interrupted`` or ``lost``."""

    kind: str
    worker: int
    run: Planned
    step: int = 0
    text: str = ""


@dataclass(frozen=True)
class Site:
    """Where and how workers work; the same for all of them."""

    results: Path
    device: str = "auto"
    threads: int = 1
    data_root: str | None = None
    checkpoint_seconds: float = 60.0
    plugins: tuple[str, ...] = ()


def run_pool(runs: tuple[Planned, ...], site: Site, workers: int, listen: Callable[[Event], None]) -> dict[str, str]:
    """Make all runs and return how each ended, by run id. One that fails never stops another.

    An interrupt (Ctrl-C) asks every worker to write a checkpoint and stop; the same call resumes.
    """
    todo, ended = deque(runs), dict[str, str]()
    crew = [_Worker(number, site) for number in range(min(workers, len(runs)))]
    try:
        for worker in crew:
            worker.give(todo)
        while any(worker.run for worker in crew):
            for ready in wait([worker.pipe for worker in crew if worker.run], timeout=TICK):
                worker = next(w for w in crew if w.pipe is ready)
                event = worker.hear()
                listen(event)
                if event.kind not in ("started", "step"):
                    ended[event.run.spec.run_id] = event.kind
                    worker.give(todo)
    except KeyboardInterrupt:
        for worker in crew:
            worker.process.terminate()
        raise Interrupted(f"{len(ended)} of {len(runs)} runs ended, the others wrote checkpoints") from None
    finally:
        for worker in crew:
            worker.close()
    return ended


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self, number: int, site: Site):
        self.number, self.site = number, site
        self.run: Planned | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(theirs, self.number, self.site), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, todo: deque[Planned]) -> None:
        self.run = todo.popleft() if todo else None
        if self.run is not None:
            if not self.process.is_alive():
                self._start()
            self.pipe.send(self.run)

    def hear(self) -> Event:
        """Receive the next event; silence from a dead process is the loss of its run."""
        assert self.run is not None
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            text = f"the worker process ended with exit code {self.process.exitcode}"
            return Event("lost", self.number, self.run, text=text)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.pipe.close()
        self.process.join()


def _work(pipe: Connection, number: int, site: Site) -> None:
    """The worker process: make runs until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    torch.set_num_threads(site.threads)
    for plugin in site.plugins:
        load_plugin(plugin)
    store, device = Store(site.results), pick_device(site.device)
    while True:
        try:
            run: Planned = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(Event("started", number, run))
            record = execute(
                run.spec,
                store,
                source=run.source,
                data_root=site.data_root,
                device=device,
                checkpoint_seconds=site.checkpoint_seconds,
                watch=_reporter(pipe, number, run),
            )
            event = Event(record.status, number, run, record.counters.steps, record.error or "")
        except Interrupted as stop:
            event = Event("interrupted", number, run, text=str(stop))
        except SambenchError as error:
            event = Event("failed", number, run, text=str(error))
        except Exception as error:
            event = Event("failed", number, run, text=f"{type(error).__name__}: {error}")
        with contextlib.suppress(OSError):
            pipe.send(event)
        if event.kind == "interrupted":
            return


def _reporter(pipe: Connection, number: int, run: Planned) -> Callable[[Training], Advance]:
    def watch(training: Training) -> Advance:
        last = time.monotonic()

        def advance(state: Any) -> None:
            nonlocal last
            if time.monotonic() - last >= TICK:
                last = time.monotonic()
                with contextlib.suppress(OSError):
                    pipe.send(Event("step", number, run, state.step))

        return advance

    return watch
