"""Where else the epochs of a run go while it is made: TensorBoard, Weights & Biases, or what a plug-in brings.

A logger is told what the record will have and decides nothing: one that fails is left out, and the run goes on.
"""

import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ...errors import ConfigError
from ...registry import Registry
from ...results.records.record import CurvePoint, RunRecord, canonical_json

FOLDER = "logs"
"""Folder of what loggers write, beside the records of a store."""
log = logging.getLogger("sambench")


class RunLogger(Protocol):
    """One place that is told of the epochs of one run; made with its spec, its label, its id and a folder."""

    name: str
    summary: str
    package: str  # what has to be installed

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        """Note the values that an epoch ended with, under the names that they have in records."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


LOGGERS: "Registry[Callable[[dict[str, Any], str, str, Path], RunLogger]]" = Registry("logger")
"""The loggers, by name; ``@LOGGERS.register`` adds a class."""


@LOGGERS.register
class TensorBoard:
    """Event files under ``logs/tensorboard``: ``tensorboard --logdir RESULTS/logs/tensorboard`` shows them."""

    name, package = "tensorboard", "tensorboard"
    summary = "event files for TensorBoard, in the folder logs/tensorboard of the results"

    def __init__(self, spec: dict[str, Any], label: str, run_id: str, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        name = f"{re.sub(r'[^A-Za-z0-9.=+-]+', '_', label):.80}-{run_id[:12]}"
        # All epochs are told again when a run goes on: those of an earlier file count no more.
        self.writer = SummaryWriter(str(folder / name), purge_step=0, flush_secs=10)
        self.writer.add_text("spec", f"`{canonical_json(spec)}`")

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, epoch)

    def close(self) -> None:
        self.writer.close()


@LOGGERS.register
class WeightsAndBiases:
    """A run of the project ``sambench`` under ``logs/wandb``: offline, for ``wandb sync``, unless WANDB_MODE=online."""

    name, package = "wandb", "wandb"
    summary = "a run of Weights & Biases in the folder logs/wandb of the results; offline unless WANDB_MODE=online"

    def __init__(self, spec: dict[str, Any], label: str, run_id: str, folder: Path) -> None:
        import wandb

        folder.parent.mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "sambench"),
            id=run_id[:32],
            name=label,
            config=spec,
            dir=folder.parent,  # it makes a folder wandb there
            mode="online" if os.environ.get("WANDB_MODE") == "online" else "offline",
            resume="allow",
            settings=wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
        )

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        self.run.log(values, step=epoch)

    def close(self) -> None:
        self.run.finish()


def check_loggers(names: str) -> list[str]:
    """Return the loggers that a text names, with commas between them.

    Raises:
        ConfigError: one is not known, or its package is not installed.
    """
    found = [name.strip() for name in names.split(",")] if names else []
    for name in found:
        package = getattr(LOGGERS.get(name), "package", "")
        if package and importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"--log {name} needs the package {package}: pip install 'sambench[{name}]'; without --log, "
                "`sambench status --watch` and `sambench plot --live` show the curves"
            )
    return found


class Loggers:
    """The loggers of one run; one that fails is left out with a warning.

    Args:
        opened: each logger, by name.
    """

    def __init__(self, opened: dict[str, RunLogger]) -> None:
        self.opened = opened

    def epoch(self, point: CurvePoint) -> None:
        """Tell a point of the curve."""
        values = {name: value for name, value in point if name != "epoch" and value is not None}
        self._each(lambda one: one.epoch(point.epoch, values))

    def finish(self, record: RunRecord) -> None:
        """Tell what a completed run is measured with, at its last epoch."""
        if record.metrics is not None:
            final = {f"{record.metrics.split}_{name}": getattr(record.metrics, name) for name in ("accuracy", "loss")}
            self._each(lambda one: one.epoch(record.curve[-1].epoch, final))

    def close(self) -> None:
        """Let all write what is left."""
        self._each(lambda one: one.close())

    def _each(self, act: Callable[[RunLogger], None]) -> None:
        for name in [*self.opened]:
            try:
                act(self.opened[name])
            except Exception as error:  # of a package that is none of ours
                log.warning("--log %s is left out from here on: %s: %s", name, type(error).__name__, error)
                del self.opened[name]


@contextmanager
def open_loggers(
    names: str, spec: dict[str, Any], label: str, run_id: str, root: Path, points: Iterable[CurvePoint]
) -> Iterator[Loggers]:
    """Open the loggers of a run inside the block.

    Args:
        names: with commas between them; empty for none.
        spec: of the run, as its record has it.
        label: the run in short.
        run_id: sha256 of the spec.
        root: results folder.
        points: the curve so far, which is told again.
    """
    opened: dict[str, RunLogger] = {}
    for name in check_loggers(names):
        try:
            opened[name] = LOGGERS.get(name)(spec, label, run_id, root / FOLDER / name)
        except Exception as error:
            log.warning("--log %s is left out: %s: %s", name, type(error).__name__, error)
    loggers = Loggers(opened)
    try:
        for point in points:
            loggers.epoch(point)
        yield loggers
    finally:
        loggers.close()
