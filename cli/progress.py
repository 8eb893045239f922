"""Progress on a terminal, and nothing anywhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..markdown import count
from ..plain_text import printable
from .console import styled

if TYPE_CHECKING:
    from ..benchmarks.measuring.measurements import RunMeasured
    from ..benchmarks.training.state import Advance, TrainState
    from ..slurm.events import RunEvent


def _bars(console: Console, shown: bool = True) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        disable=not (shown and console.is_terminal),
        transient=True,
    )


@contextmanager
def run_progress(console: Console, shown: bool = True) -> Iterator[Callable[["TrainState"], "Advance"]]:
    """Show one run: its steps, and the losses of the last epoch.

    Args:
        console: where to, if it is a terminal.
        shown: whether this process is the one that shows it.
    """
    with _bars(console, shown) as bars:

        def watch(run: "TrainState") -> "Advance":
            task = bars.add_task(printable(run.spec.label()), total=run.oracle.total_steps, completed=run.step, note="")

            def advance(state: "TrainState") -> None:
                bars.update(task, completed=state.step, note=_note(state))

            return advance

        yield watch


def _note(run: "TrainState") -> str:
    if not run.curve:
        return ""
    point = run.curve[-1]
    parts = [f"epoch {point.epoch}", f"loss {point.train_loss:.3f}"]
    if point.validation_accuracy is not None:
        parts.append(f"validation {point.validation_accuracy:.2%}")
    return "  ".join(parts)


@contextmanager
def pool_progress(console: Console, total: int) -> Iterator[Callable[["RunEvent"], None]]:
    """Show a plan at work: all runs, and each that is being made. A run that fails is told in a line of its own."""
    with _bars(console) as bars:
        overall = bars.add_task("all runs", total=total, note="")
        lines: dict[str, TaskID] = {}
        ends: dict[str, int] = {}

        def listen(event: "RunEvent") -> None:
            run_id = event.run.spec.run_id
            if event.kind == "started":
                lines[run_id] = bars.add_task(printable(event.run.spec.label()), total=event.run.steps, note="")
                return
            if event.kind == "step":
                bars.update(lines[run_id], completed=event.step)
                return
            if run_id in lines:  # else its process died before
                bars.remove_task(lines.pop(run_id))
            ends[event.kind] = ends.get(event.kind, 0) + 1
            bars.update(overall, advance=1, note="  ".join(f"{count} {kind}" for kind, count in ends.items()))
            if event.kind != "completed":
                console.print(
                    styled((event.kind, "yellow"), f" {event.run.spec.label()}: {event.text}"), soft_wrap=True
                )

        yield listen


@contextmanager
def counting_progress(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many of a number of things are done: the listener takes both numbers.

    No thread runs before its first call: until then processes may be forked.
    """
    bars = _bars(console)
    task = bars.add_task(what, total=None, note="")

    def listen(done: int, total: int) -> None:
        bars.start()
        bars.update(task, completed=done, total=total)

    try:
        yield listen
    finally:
        bars.stop()


@contextmanager
def measuring_progress(console: Console, total: int) -> Iterator[Callable[["RunMeasured"], None]]:
    """Show how many runs are measured."""
    with _bars(console) as bars:
        task = bars.add_task("[bold]runs measured", total=total, note="")
        failed = 0

        def listen(measured: "RunMeasured") -> None:
            nonlocal failed
            failed += len(measured.failed)
            bars.update(task, advance=1, note=f"{count(failed, 'measurement')} failed" if failed else "")

        yield listen
