"""The record of one measurement of a finished run: what was measured, with which settings, on which weights."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from ...atomic import atomic_write_bytes, make_folder, remove_leftovers
from ...errors import StateError, explain
from ...reading import read_bytes
from .fields import Digest, Finite, Frozen
from .record import Environment, canonical_json
from .store import Damaged, DamagedError, Store, store_of

FOLDER = "measurements"
"""Folder of the measurements, ``<run id>/<measurement id>.json``, beside the records of a store."""
SLICES = ("surface", "line")
"""Measures that are a picture of the loss along a slice: no number of theirs tells methods apart."""


class Measurement(Frozen):
    """One measurement; ``measurement_id`` must be the hash of what it is a measurement of: checked on every read."""

    schema_version: Literal[1] = 1
    measurement_id: Digest
    run_id: Digest
    epoch: int | None = Field(None, ge=0, description="epochs after which the weights were kept; null: the final ones")
    measure: str
    version: int = Field(gt=0, description="of the measure")
    settings: dict[str, float | int | bool | str] = Field(description="all settings of the measure")
    label: str = Field(description="the measure and the settings that are not at their default, for columns")
    weights: Digest = Field(description="sha256 over the state that was measured")
    values: dict[str, Finite | None] = Field(description="a number that is not finite, or not known, is null")
    series: dict[str, tuple[Finite | None, ...]] = Field(default_factory=dict, description="series of numbers")
    seconds: Finite = Field(ge=0)
    source: Digest = Field(description="sha256 of the measure's source file")
    environment: Environment

    @property
    def at(self) -> str:
        """The label, and of weights on the way the epochs: ``fit@10``."""
        return self.label if self.epoch is None else f"{self.label}@{self.epoch}"

    @model_validator(mode="after")
    def _consistent(self) -> "Measurement":
        expected = measurement_id(self.run_id, self.epoch, self.measure, self.version, self.settings)
        if self.measurement_id != expected:
            raise ValueError(
                f"measurement_id {self.measurement_id[:12]} is not the hash of run, measure and settings "
                f"({expected[:12]})"
            )
        return self


def measurement_id(run_id: str, epoch: int | None, measure: str, version: int, settings: dict[str, Any]) -> str:
    """Identify a measurement: the sha256 (64 hex digits) over run, point, measure, its version and all settings."""
    identity = {"run_id": run_id, "epoch": epoch, "measure": measure, "version": version, "settings": settings}
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


class Measurements:
    """The measurements beside the records of a store: append-only, safe for any number of processes.

    Args:
        store: whose runs are measured.
    """

    def __init__(self, store: Store):
        self.root = store.root / FOLDER

    def path(self, run_id: str, identity: str) -> Path:
        """Return the path of a measurement, which need not exist."""
        return self.root / run_id / f"{identity}.json"

    def has(self, run_id: str, identity: str) -> bool:
        """Tell whether a measurement was made."""
        return self.path(run_id, identity).is_file()

    def read(self, run_id: str, identity: str) -> Measurement:
        """Read a measurement.

        Raises:
            DamagedError: there is none, or none that can be read.
        """
        found = self.look(run_id, f"{identity}.json")
        if isinstance(found, Damaged):
            raise DamagedError(found)
        return found

    def write(self, measurement: Measurement) -> bool:
        """Add a measurement, whole or not at all; one that is there is never replaced.

        Returns:
            Whether it was written.

        Raises:
            StateError: it would not be valid when read back, or the folder cannot be written.
        """
        path, text = self.path(measurement.run_id, measurement.measurement_id), measurement.model_dump_json()
        try:
            Measurement.model_validate_json(text)
        except ValidationError as error:
            raise StateError(f"measure {measurement.measure!r} made no valid record: {explain(error)[0]}") from error
        make_folder(path.parent)
        remove_leftovers(path.parent)
        return atomic_write_bytes(path, f"{text}\n".encode(), overwrite=False)

    def run_ids(self) -> list[str]:
        """List the ids of the runs that have measurements, sorted."""
        return sorted(path.name for path in self.root.iterdir() if path.is_dir()) if self.root.is_dir() else []

    def names(self, run_id: str) -> list[str]:
        """List the names of the files of a run's measurements, sorted."""
        with suppress(FileNotFoundError):
            names = sorted(os.listdir(f"{self.root}/{run_id}"))
            return [name for name in names if name.endswith(".json") and not name.startswith(".")]
        return []

    def of(self, run_id: str) -> Iterator[Measurement | Damaged]:
        """Read the measurements of a run in the order of their ids; a damaged file does not stop the others."""
        return (self.look(run_id, name) for name in self.names(run_id))

    def scan(self) -> Iterator[Measurement | Damaged]:
        """Read all measurements, by run."""
        for run_id in self.run_ids():
            yield from self.of(run_id)

    def look(self, run_id: str, name: str) -> Measurement | Damaged:
        """Read one file of a run's measurements, or say what is wrong with it."""
        path = f"{self.root}/{run_id}/{name}"  # no Path object: making one takes as long as reading a small file
        try:
            found = Measurement.model_validate_json(read_bytes(path))
        except (ValidationError, OSError) as error:
            problem = explain(error)[0] if isinstance(error, ValidationError) else error.strerror
            return Damaged(Path(path), problem or str(error))
        if (run_id, name) != (found.run_id, f"{found.measurement_id}.json"):
            return Damaged(Path(path), f"it holds measurement {found.measurement_id[:12]} of run {found.run_id[:12]}")
        return found


def merge_measurements(into: Store, source: Path) -> tuple[int, int, list[Damaged | str]]:
    """Add the measurements of another results folder to a store; nothing that is there changes.

    Args:
        into: store that they are added to.
        source: another results folder, or its folder ``runs``.

    Returns:
        The number that was added, the number that both have, and what is wrong: files that are none, and measurements
        of other weights than those of the run here.
    """
    ours, theirs = Measurements(into), Measurements(store_of(source))
    added, same = 0, 0
    problems: list[Damaged | str] = []
    for found in theirs.scan():
        if isinstance(found, Damaged):
            problems.append(found)
        elif found.epoch is None and into.has(found.run_id) and into.read(found.run_id).weights != found.weights:
            problems.append(
                f"{found.label} of run {found.run_id[:12]} was measured on other weights than the run has here"
            )
        else:
            new = ours.write(found)
            added, same = added + new, same + (not new)
    return added, same, problems
