"""Lines of a run in progress: one an epoch, beside its checkpoints, for whoever watches it.

The record of a run that ended has the same points as its curve; the lines are then removed with the checkpoints.
"""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, ValidationError

from ...atomic import atomic_write_bytes
from ...errors import StateError
from ...plain_text import printable
from ...reading import read_bytes
from .fields import Name, Whole
from .record import CurvePoint

EPOCHS = "epochs.jsonl"
"""File of the lines, in the folder of the run's checkpoints."""
log = logging.getLogger("sambench")


class EpochLine(CurvePoint):
    """One line: a point of the curve, and which run it is of."""

    label: Name = Field(description="the run in short, for people")
    epochs: Whole = Field(description="epochs of the whole run")
    steps: Whole = Field(description="optimizer steps of the whole run")


class EpochWriter:
    """Writes the lines of a run; a file that cannot be written costs the lines and not the run.

    A run that goes on starts the file anew from the curve of its checkpoint: what a killed process left of a line, and
    epochs that are made once more, are gone. Later lines are appended, each by one write.

    Args:
        folder: folder of the run's checkpoints; it exists.
        label: the run in short.
        epochs: epochs of the whole run.
        steps: optimizer steps of the whole run.
        points: the curve so far.
    """

    def __init__(self, folder: Path, label: str, epochs: int, steps: int, points: Iterable[CurvePoint] = ()):
        self.path = folder / EPOCHS
        self.about = {"label": printable(label)[:2000], "epochs": epochs, "steps": steps}
        self.broken = False
        lines = b"".join(map(self._line, points))
        try:
            if lines:
                atomic_write_bytes(self.path, lines)
            else:
                self.path.unlink(missing_ok=True)
        except (StateError, OSError) as error:
            self._give_up(error)

    def append(self, point: CurvePoint) -> None:
        """Add the line of an epoch."""
        if self.broken:
            return
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o666)
            try:
                line = self._line(point)
                if os.write(descriptor, line) < len(line):
                    os.write(descriptor, b"\n")  # a disk that is full by now: the half line is passed over
            finally:
                os.close(descriptor)
        except OSError as error:
            self._give_up(error)

    def _line(self, point: CurvePoint) -> bytes:
        return EpochLine.model_construct(**vars(point), **self.about).model_dump_json().encode() + b"\n"

    def _give_up(self, error: Exception) -> None:
        self.broken = True
        log.warning("the epochs of run %s are not written to be watched: %s", self.path.parent.name[:12], error)


def read_epochs(folder: Path) -> tuple[list[EpochLine], int]:
    """Read the lines of a run in progress: epochs ascending, of two lines of one epoch the later.

    Args:
        folder: folder of the run's checkpoints.

    Returns:
        The lines, none where there is no such file, and how many others were passed over because they are no such
        lines. The last one may be half written and does not count.
    """
    try:
        lines = read_bytes(folder / EPOCHS).split(b"\n")
    except FileNotFoundError:
        return [], 0
    except OSError:
        return [], 1
    found: dict[int, EpochLine] = {}
    others = 0
    for line in lines[:-1]:
        try:
            one = EpochLine.model_validate_json(line, strict=True)
        except ValidationError:
            others += 1
        else:
            found[one.epoch] = one
    return [found[epoch] for epoch in sorted(found)], others
