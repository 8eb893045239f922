"""Worker processes on this machine that make the runs of a plan.

A worker takes one run after the other, or several at a time in turns, so that Python and torch start once. A worker
that dies (out of memory) takes its runs with it and nothing else: they count as lost, and a new worker takes its place.
A signal that asks one process to end asks all: workers write checkpoints and stop with their parent, and the parent
with a worker.
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
from ..benchmarks.training.turns import in_turns
from ..errors import Interrupted
from .events import EVENT_INTERVAL_SECONDS, ONGOING, Listen, RunEvent
from .options import RunOptions
from .plan import Planned
from .worker import attempt


def run_pool(
    runs: tuple[Planned, ...],
    options: RunOptions,
    at_once: int,
    listen: Listen,
    stop: Callable[[], bool] | None = None,
    processes: int | None = None,
) -> dict[str, str]:
    """Make all runs and return how each ended, by run id. One that fails never stops another.

    Ctrl-C, TERM or HUP asks every worker to write checkpoints and stop; the same call resumes. So does ``stop`` saying
    so, or, where nothing says when to stop, a signal to a worker alone.

    Args:
        runs: what is made.
        options: how.
        at_once: number of runs at a time.
        listen: is told of every event of every run.
        stop: says when to stop.
        processes: number of workers; where it is less, runs take turns in each. By default one a run at a time.

    Raises:
        Interrupted: a signal came; every worker has stopped.
    """
    with signals_as_interrupts():
        return _run_pool(runs, options, min(at_once, len(runs)), listen, stop, processes)


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
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
    runs: tuple[Planned, ...],
    options: RunOptions,
    at_once: int,
    listen: Listen,
    stop: Callable[[], bool] | None,
    processes: int | None,
) -> dict[str, str]:
    todo, ended = deque(runs), dict[str, str]()
    pool: list[_Worker] = []
    try:
        workers = min(at_once, processes or at_once)
        for number in range(workers):
            pool.append(_Worker(number, options, places=at_once // workers + (number < at_once % workers)))
        for worker in pool:
            worker.give(todo)
        while any(worker.runs for worker in pool):
            if stop and stop():
                todo.clear()
                for worker in pool:
                    if worker.runs:
                        worker.ask_to_stop()
            for ready in wait([worker.pipe for worker in pool if worker.runs], timeout=EVENT_INTERVAL_SECONDS):
                worker = next(w for w in pool if w.pipe is ready)
                for event in worker.hear():
                    listen(event)
                    if event.kind in ONGOING:
                        continue
                    ended[event.run.spec.run_id] = event.kind
                    if event.kind == "interrupted" and not worker.asked and stop is None:
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
    """The parent's side of one worker process, which makes so many runs at a time."""

    def __init__(self, number: int, options: RunOptions, places: int):
        self.number, self.options, self.places = number, options, places
        self.runs: dict[str, Planned] = {}
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, self.number, self.places, self.options), daemon=True
        )
        self.process.start()
        self.asked = self.stopping = False
        theirs.close()

    def give(self, todo: deque[Planned]) -> None:
        """Fill the free places; those of a process that stops or is dead once its last run was heard of, in another."""
        while todo and len(self.runs) < self.places:
            if self.stopping or not self.process.is_alive():
                if self.runs:
                    return
                self.close()
                self._start()
            try:
                self.pipe.send(todo[0])
            except OSError:  # it has died since it was looked at
                self.process.join()
                continue
            run = todo.popleft()
            self.runs[run.spec.run_id] = run

    def hear(self) -> list[RunEvent]:
        """Receive the next event; runs of a dead process are ``lost``, or ``interrupted`` if that was asked for."""
        try:
            event: RunEvent = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            kind = "interrupted" if self.asked or code in (-signal.SIGTERM, -signal.SIGUSR2) else "lost"
            text = f"the worker process ended with exit code {code}"
            gone, self.runs = self.runs, {}
            return [RunEvent(kind, self.number, run, text=text) for run in gone.values()]
        if event.kind not in ONGOING:
            del self.runs[event.run.spec.run_id]
            self.stopping = self.stopping or event.kind == "interrupted"
        return [event]

    def ask_to_stop(self) -> None:
        """Ask for checkpoints, once."""
        if not self.asked:
            self.asked = True
            self.process.terminate()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.pipe.close()
        self.process.join()


def _work(pipe: Connection, worker: int, places: int, options: RunOptions) -> None:
    """The worker process: make runs until the pipe closes, or a signal has stopped one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    # A signal between two runs stops the next one, and a second one must not end what the first one asked to stop.
    stop = Note()
    for number in known("SIGTERM", "SIGHUP", "SIGUSR2"):
        signal.signal(number, stop)
    device = options.prepare(worker)

    def tell(event: RunEvent) -> None:
        try:
            pipe.send(event)
        except OSError:  # the parent was killed: nobody would stop this process later
            signal.raise_signal(signal.SIGTERM)

    def make(run: Planned, hand_on: Callable[[], None] = lambda: None) -> str:
        event = attempt(run, options, device, tell, worker, hand_on)
        tell(event)
        return event.kind

    if places == 1:  # in the main thread, which alone can start a group of devices
        with contextlib.suppress(EOFError, OSError):
            while make(pipe.recv()) != "interrupted":
                pass
        return
    with in_turns(places, make, device) as put:
        with contextlib.suppress(EOFError, OSError):
            while True:
                put(pipe.recv())
        stop.came = True  # the parent waits for no run that is still made
