"""Worker processes on this machine that make the runs of a plan.

A worker takes one run after the other, so that Python and torch start once. A worker that dies (out of memory) takes
its run with it and nothing else: the run counts as lost, and a new worker takes its place. A signal that asks one
process to end asks all: workers write a checkpoint and stop with their parent, and the parent with a worker.
"""

import contextlib
import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ..benchmarks.training.signals import Note, known
from ..errors import Interrupted
from .events import EVENT_INTERVAL_SECONDS, Listen, RunEvent
from .options import RunOptions
from .plan import Planned
from .worker import attempt


def run_pool(
    runs: tuple[Planned, ...],
    options: RunOptions,
    workers: int,
    listen: Listen,
    stop: Callable[[], bool] | None = None,
) -> dict[str, str]:
    """Make all runs and return how each ended, by run id. One that fails never stops another.

    Ctrl-C, TERM or HUP asks every worker to write a checkpoint and stop; the same call resumes. So does ``stop`` saying
    so, or, where nothing says when to stop, a signal to a worker alone.

    Raises:
        Interrupted: a signal came; every worker has stopped.
    """
    with _signals_as_interrupts():
        return _run_pool(runs, options, workers, listen, stop)


@contextlib.contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """Inside the block, let TERM and HUP do what Ctrl-C does, unless they are ignored or somebody handles them."""
    taken = [number for number in known("SIGTERM", "SIGHUP") if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        taken = []
    for number in taken:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _run_pool(
    runs: tuple[Planned, ...], options: RunOptions, workers: int, listen: Listen, stop: Callable[[], bool] | None
) -> dict[str, str]:
    todo, ended = deque(runs), dict[str, str]()
    pool: list[_Worker] = []
    try:
        for number in range(min(workers, len(runs))):
            pool.append(_Worker(number, options))
        for worker in pool:
            worker.give(todo)
        while any(worker.run for worker in pool):
            if stop and stop():
                todo.clear()
                for worker in pool:
                    if worker.run:
                        worker.ask_to_stop()
            for ready in wait([worker.pipe for worker in pool if worker.run], timeout=EVENT_INTERVAL_SECONDS):
                worker = next(w for w in pool if w.pipe is ready)
                event = worker.hear()
                listen(event)
                if event.kind not in ("started", "step"):
                    ended[event.run.spec.run_id] = event.kind
                    if event.kind == "interrupted":
                        worker.process.join()
                        if not worker.asked and stop is None:
                            raise KeyboardInterrupt
                    worker.give(todo)
    except KeyboardInterrupt:
        for worker in pool:
            worker.ask_to_stop()
        raise Interrupted(f"{len(ended)} of {len(runs)} runs ended, the others wrote checkpoints") from None
    finally:
        for worker in pool:
            worker.close()
    return ended


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self, number: int, options: RunOptions):
        self.number, self.options = number, options
        self.run: Planned | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(theirs, self.number, self.options), daemon=True)
        self.process.start()
        self.asked = False
        theirs.close()

    def give(self, todo: deque[Planned]) -> None:
        self.run = todo.popleft() if todo else None
        if self.run is not None:
            if not self.process.is_alive():
                self._start()
            self.pipe.send(self.run)

    def hear(self) -> RunEvent:
        """Receive the next event; the run of a dead process is ``lost``, or ``interrupted`` if that was asked for."""
        assert self.run is not None
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            kind = "interrupted" if self.asked or code in (-signal.SIGTERM, -signal.SIGUSR2) else "lost"
            return RunEvent(kind, self.number, self.run, text=f"the worker process ended with exit code {code}")

    def ask_to_stop(self) -> None:
        """Ask for a checkpoint, once."""
        if not self.asked:
            self.asked = True
            self.process.terminate()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.pipe.close()
        self.process.join()


def _work(pipe: Connection, worker: int, options: RunOptions) -> None:
    """The worker process: make runs until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    # A signal between two runs stops the next one, and a second one must not end what the first one asked to stop.
    for number in known("SIGTERM", "SIGHUP", "SIGUSR2"):
        signal.signal(number, Note())
    device = options.prepare(worker)

    def tell(event: RunEvent) -> None:
        try:
            pipe.send(event)
        except OSError:  # the parent was killed: nobody would stop this process later
            signal.raise_signal(signal.SIGTERM)

    while True:
        try:
            run: Planned = pipe.recv()
        except (EOFError, OSError):
            return
        event = attempt(run, options, device, tell, worker)
        tell(event)
        if event.kind == "interrupted":
            return
