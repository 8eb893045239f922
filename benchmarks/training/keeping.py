"""Kept models: the weights that a run is evaluated with, as safetensors under its id, checked whenever they are read.

Keeping is no part of a run's identity: it writes what is there and changes no bit of what comes.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ...atomic import atomic_write_bytes, check_writable, remove_leftovers
from ...datasets import Dataset
from ...errors import ConfigError, StateError
from ...results.records.models import FINAL, FOLDER, model_path
from ...results.records.record import Initialization, canonical_json
from ...results.records.store import Store
from .. import models
from ..spec import RunSpec
from .initialization import Beginning
from .state import Advance, TrainState, state_digest

log = logging.getLogger("sambench")
_POINT = re.compile(r"\d+|\d+(?:\.\d+)?%")
_HEADER = "sambench"


@dataclass(frozen=True)
class Keep:
    """What is kept of a run: the weights that it is evaluated with, and those at points on the way.

    Args:
        points: numbers of epochs (``"10"``; ``"0"``: the initial weights) and shares of the run (``"50%"``).
    """

    points: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``weights`` or ``weights@0,10,50%``.

        Raises:
            ConfigError: it is neither.

        Example:
            >>> Keep.parse("weights@0,10,50%").epochs(40)
            (0, 10, 20)
        """
        kind, at, points = text.partition("@")
        listed = tuple(point.strip() for point in points.split(",")) if at else ()
        if kind != "weights" or not all(map(_is_point, listed)):
            raise ConfigError(
                f"keep={text!r} is not valid: 'weights' keeps the weights that a run is evaluated with, and "
                "'weights@0,10,50%' those after 0 and 10 epochs and after half of them, too"
            )
        return cls(listed)

    def __str__(self) -> str:
        return "weights" + ("@" + ",".join(self.points) if self.points else "")

    def epochs(self, total: int) -> tuple[int, ...]:
        """Return the points of a run of so many epochs, ascending, in epochs.

        Raises:
            ConfigError: a point lies behind the end.
        """
        if late := [point for point in self.points if not point.endswith("%") and int(point) > total]:
            raise ConfigError(
                f"keep point {late[0]} lies behind the end of a run of {total} epochs; give an earlier one, or a "
                "share such as 50%"
            )
        return tuple(sorted({_epoch(point, total) for point in self.points}))


def _is_point(text: str) -> bool:
    return bool(_POINT.fullmatch(text)) and (not text.endswith("%") or float(text[:-1]) <= 100)


def _epoch(point: str, total: int) -> int:
    return round(float(point[:-1]) / 100 * total) if point.endswith("%") else int(point)


@dataclass(frozen=True)
class KeptModel:
    """Weights that were kept, with what it takes to use them without their data set.

    Attributes:
        run_id: id of the run.
        epoch: epochs after which they were kept, or :data:`~sambench.results.records.models.FINAL`.
        weights: sha256 of the state, as in records.
        classes: names of the classes, in the order of the logits.
        shape: channels, height and width of the images.
        mean: of each channel, (C,), which normalizes the images.
        std: of each channel, (C,).
        state: parameters and buffers by name.
    """

    run_id: str
    epoch: int
    weights: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    state: Mapping[str, Tensor]

    def network(self, spec: RunSpec) -> nn.Module:
        """Return the network of the run with these weights, in evaluation mode, on the CPU; its input is normalized."""
        network = models.build_for(spec, self.shape, len(self.classes))
        network.load_state_dict(self.state)
        return network.eval()


def write_model(store: Store, run_id: str, epoch: int, state: Mapping[str, Tensor], dataset: Dataset) -> None:
    """Write weights under their run id, whole or not at all.

    Args:
        store: whose folder ``models`` they go to; it must exist.
        run_id: id of the run.
        epoch: epochs after which these are its weights, or ``FINAL``.
        state: parameters and buffers by name, in the order of the model.
        dataset: whose classes and normalization are written with them.
    """
    about = {
        "run_id": run_id,
        "epoch": epoch,
        "weights": state_digest(state),
        "names": list(state),
        "classes": list(dataset.classes),
        "shape": list(dataset.shape),
        "mean": list(dataset.mean),
        "std": list(dataset.std),
    }
    header = json.dumps({"about": about, "sha256": _sha256(about)})
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    atomic_write_bytes(model_path(store, run_id, epoch), save(tensors, metadata={_HEADER: header}))


def read_model(store: Store, run_id: str, epoch: int = FINAL) -> KeptModel:
    """Read kept weights and hold them to their digest, and those of the end of a run to the run's record.

    Raises:
        StateError: they are not kept, damaged, or those of another run; the message says what makes them again.
    """
    path = model_path(store, run_id, epoch)
    where = f"the model of run {run_id[:12]}" + ("" if epoch == FINAL else f" after {epoch} epochs")
    again = "`sambench measure RUN --what ... --rebuild` makes it again by the run itself"
    if not path.is_file():
        raise StateError(f"{where} is not kept in {path.parent}: `--keep weights` keeps those of runs to come, {again}")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            about = header["about"]
            state = {name: file.get_tensor(name) for name in about["names"]}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{where} cannot be read: {path}: {error}. Remove the file; {again}") from error
    if header["sha256"] != _sha256(about) or about["weights"] != state_digest(state):
        raise StateError(f"{where} is damaged: {path} does not match its checksum. Remove the file; {again}")
    if (about["run_id"], about["epoch"]) != (run_id, epoch):
        raise StateError(f"{path} holds the model of run {about['run_id'][:12]}, not of {run_id[:12]}; remove it")
    if epoch == FINAL and (recorded := store.read(run_id).weights) != about["weights"]:
        raise StateError(
            f"{where} is not what its record was measured with: weights {about['weights'][:12]} in {path}, "
            f"{str(recorded)[:12]} in the record. Remove the file; {again}"
        )
    lists = {key: tuple(about[key]) for key in ("classes", "shape", "mean", "std")}
    return KeptModel(run_id, epoch, about["weights"], **lists, state=state)


def kept_beginning(store: Store, run_id: str) -> Beginning:
    """Return the kept weights of a finished run, for a run that begins with them.

    Raises:
        StateError: there is no such run, or its weights are not kept or damaged.
    """
    kept, record = read_model(store, run_id), store.read(run_id)
    made = record.counters.gradient_evaluations
    return Beginning(
        kept.state,
        Initialization(run_id=run_id, weights=kept.weights, gradient_evaluations=made, train_error=record.train_error),
    )


def _sha256(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(about).encode()).hexdigest()


class Keeper:
    """Writes what is to be kept of a run while it is made; nothing where nothing is to be kept.

    Args:
        keep: what is to be kept.
        store: where to.
        run: the run, fresh or resumed.
        verify: makes sure, before anything is written, that nobody else has taken over the run.
    """

    def __init__(self, keep: Keep | None, store: Store, run: TrainState, verify: Callable[[], object]):
        self.keep, self.store, self.run, self.verify = keep, store, run, verify
        self.points = keep.epochs(run.spec.epochs) if keep else ()
        if keep is None:
            return
        run.process_group.broadcast_from_main(self._prepare)
        if missed := [point for point in self.points if point < run.epoch and not self._path(point).is_file()]:
            log.warning(
                "%s goes on after %d epochs: its weights after %s are not kept",
                run.spec.run_id[:12],
                run.epoch,
                ", ".join(map(str, missed)),
            )

    def watching(self, advance: Advance) -> Advance:
        """Return a function that is called after every step and epoch: it keeps the points, and calls ``advance``."""
        if self.points:
            self._point(self.run)

        def after(run: TrainState) -> None:
            self._point(run)
            advance(run)

        return after if self.points else advance

    def final(self, model: nn.Module) -> None:
        """Keep the weights that the run is evaluated with."""
        if self.keep is not None:
            self._write(FINAL, model)

    def _point(self, run: TrainState) -> None:
        if run.epoch in self.points and run.step == run.timeline.start(run.epoch):
            with run.evaluated():
                self._write(run.epoch, run.model)

    def _write(self, epoch: int, model: nn.Module) -> None:
        def write() -> None:
            self.verify()
            write_model(self.store, self.run.spec.run_id, epoch, model.state_dict(), self.run.dataset)

        self.run.process_group.broadcast_from_main(write)

    def _prepare(self) -> None:
        check_writable(self.store.root / FOLDER)
        remove_leftovers(self.store.root / FOLDER)

    def _path(self, point: int) -> Any:
        return model_path(self.store, self.run.spec.run_id, point)
