"""The view of ``status --watch``: one line a run, with its curve, anew every few seconds."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress

from rich.console import Group
from rich.live import Live
from rich.text import Text

from .. import units
from ..plain_text import printable
from ..slurm.run_status import RunStatus
from .console import out, say

INTERVAL_SECONDS = 3.0
"""Seconds between two looks."""
IDLE_LOOKS = 10
"""Looks in a row at which nothing was being made after which it is not expected to begin: workers take a while to."""
OPEN = ("running", "preempted", "pending")
"""States that somebody may still change; the order in which runs are listed."""
_ORDER = (*OPEN[:2], "failed", "lost", "cancelled")
_LINE = "{:8} {:{name}} {:9} {:>9} {:>6} {:>6} {}"
_BLOCKS = ("▁▂▃▄▅▆▇█", "_.-:=+*#")


def watch(look: Callable[[], Sequence[RunStatus]], counts: Callable[[Sequence[RunStatus]], str]) -> Sequence[RunStatus]:
    """Show runs until all have ended, or nothing is being made any more; Ctrl-C ends it, too.

    On a terminal the view is drawn anew; what is piped gets a line whenever one has changed.

    Args:
        look: returns the status of every run.
        counts: returns one line on all of them.

    Returns:
        What the last look found.
    """
    found: Sequence[RunStatus] = ()
    said: list[str] = []
    idle = 0
    screen = Live(console=out, auto_refresh=False, vertical_overflow="crop") if out.is_terminal else nullcontext()
    with suppress(KeyboardInterrupt), screen as live:
        while True:
            found = look()
            width, most = (out.width, out.height - 3) if live else (120, len(found) + 2)
            lines = [*_view(found, width, most), counts(found)]
            if live:
                texts = (Text(printable(line), no_wrap=True, overflow="ellipsis") for line in lines)
                live.update(Group(*texts), refresh=True)
            else:
                for line in lines:
                    if line not in said:
                        say(line)
                said = lines
            idle = 0 if any(s.alive for s in found) else idle + 1
            if not any(s.state in OPEN for s in found) or idle > IDLE_LOOKS:
                break
            time.sleep(INTERVAL_SECONDS)
    return found


def _view(found: Sequence[RunStatus], width: int, most: int) -> Iterator[str]:
    """Yield the heading and a line for each run that somebody makes or has to look at, of many the first."""
    shown = [s for s in found if s.state in _ORDER or s.text]
    shown.sort(key=lambda s: _ORDER.index(s.state) if s.state in _ORDER else len(_ORDER))
    name = min(max((len(s.label) for s in shown), default=0), max(12, width - 61))
    if shown:
        yield _LINE.format("run", "variant", "state", "epoch", "loss", "acc", "curve", name=name)
    kept = shown if len(shown) < most else shown[: most - 2]
    for s in kept:
        yield _line(s, name, width - name - 44)
    if more := len(shown) - len(kept):
        yield f"and {more:,} more"


def _line(s: RunStatus, name: int, room: int) -> str:
    end = units.duration(s.seconds) if s.seconds is not None else ""
    epoch, loss, accuracy, curve = f"{s.step}/{s.total}" if s.total else "", "", "", ""
    if s.curve:
        last = s.curve[-1]
        epoch, loss = f"{last.epoch}/{last.epochs}", _short(last.train_loss)
        accuracy = "" if last.validation_accuracy is None else f"{last.validation_accuracy:.1%}"
        losses = [p.validation_loss if p.validation_loss is not None else p.train_loss for p in s.curve]
        curve = sparkline([value for value in losses if value is not None], max(4, min(room - 9, 24)))
    elif epoch:
        epoch = f"step {epoch}"
    label = s.label if len(s.label) <= name else f"{s.label[: name // 2 - 1]}…{s.label[-(name - name // 2) :]}"
    rest = " ".join(filter(None, (curve, end, s.text)))
    return _LINE.format(s.run_id[:8], label, s.state, epoch, loss, accuracy, rest, name=name).rstrip()


def _short(number: float | None) -> str:
    """Write a number in at most six characters."""
    return "" if number is None else f"{number:.3f}" if abs(number) < 10 else f"{number:.3g}"


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw numbers as a line of blocks between their least and their largest.

    Args:
        values: in the order of time; of more than ``width`` the last of each part is drawn.
        width: most characters.

    Example:
        >>> sparkline([4, 3, 2, 1], 8)
        '█▆▃▁'
    """
    if len(values) > width:
        values = [values[(i + 1) * len(values) // width - 1] for i in range(width)]
    blocks = _BLOCKS[not out.encoding.startswith("utf")]
    low, high = min(values, default=0.0), max(values, default=0.0)
    scale = (len(blocks) - 1) / (high - low) if high > low else 0.0
    return "".join(blocks[round((value - low) * scale)] for value in values)
