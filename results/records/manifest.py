"""The manifest of a suite: its runs and their tracks, written before the first of them starts.

A record does not say which tables its run belongs to: one training of SAM may be a row of the table at equal epochs and
of that at equal gradient evaluations. The manifest says it. Since it is written before the runs, it also shows which of
them are missing.
"""

import os
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, ValidationError

from ...atomic import atomic_write_bytes, make_folder
from ...errors import StateError, explain
from ...reading import read_bytes
from .batch_size import batch_size_of
from .fields import Amount, Digest, Frozen, Name, Text, Whole
from .record import RunRecord
from .retractions import RETRACTED, read_retractions, reasons
from .store import Damaged, DamagedError, Store

FOLDER = "suites"
"""Folder of the manifests, ``NAME.json``, and of tuned suites, ``NAME.toml``, beside the records of a store."""

TRACKS = {
    "E": "equal epochs",
    "G": "equal gradient evaluations",
    "T": "equal wall-clock time on one device",
}

Seconds = Annotated[float, Field(ge=1e-9, le=1e9)]
"""Time of an epoch, or of a run: positive, so that one can be divided by the other."""


class Calibration(Frozen):
    """The times that track T is planned with: seconds per epoch of each method, measured on one device."""

    device_name: Text
    threads: Whole = Field(gt=0)
    host: Text = Field(description="hash of the machine, as in records")
    torch: Text
    seconds: dict[Name, Seconds] = Field(description="method -> seconds of one epoch, the median of its turns")
    turns: Whole = Field(gt=0, description="how often every method was timed")


class Track(Frozen):
    """The runs that are compared at one budget."""

    name: Literal["E", "G", "T"]
    budget: Amount = Field(
        gt=0,
        description="what a run may spend. E: epochs; G: passes of the training set forward and backward, that is "
        "epochs times gradient evaluations per step; T: seconds of training",
    )
    runs: tuple[Digest, ...] = Field(description="run ids, in the order of the suite")
    calibration: Calibration | None = Field(None, description="track T only")

    def spent(self, record: RunRecord) -> float:
        """Return what a run spent, in the unit of the budget, as the run itself counted it.

        Epochs are planned from the cost that a variant declares; this count shows whether the budget was kept.
        """
        epochs = record.curve[-1].epoch if record.curve else 0
        if self.name == "E":
            return float(epochs)
        if self.name == "T":
            return record.timing.train_seconds
        return epochs * record.counters.gradient_evaluations / max(1, first_batches(record))


def first_batches(record: RunRecord) -> float:
    """Return the steps of a run, each as the share that its batch is of the first: evaluations are counted in these."""
    if record.spec.get("batch_schedule", "constant") == "constant":
        return record.counters.steps
    ends = [0, *(point.step for point in record.curve)]
    sizes = [batch_size_of(record.spec, epoch) for epoch in range(len(record.curve))]
    return sum(size * (end - start) / sizes[0] for size, (start, end) in zip(sizes, pairwise(ends), strict=True))


class Tuning(Frozen):
    """The tuning that chose the settings of a suite."""

    ledger: Name = Field(pattern=r"^[^/\\]+$", description="file in the folder of ledgers")
    sha256: Digest = Field(description="of that file")


class SuiteManifest(Frozen):
    """What a suite promised before its runs: tracks, seeds, and where its settings come from."""

    schema_version: Literal[1] = 1
    name: Name
    title: Text
    description: Text = Field(description="what the suite shows, and what it does not")
    command: Text = Field(description="what makes the runs")
    seeds: tuple[Whole, ...]
    tracks: tuple[Track, ...]
    untracked: tuple[Digest, ...] = Field(
        (),
        validation_alias=AliasChoices("untracked", "loose"),  # schema 1 was first written with the latter
        description="run ids of a suite without tracks, which holds no budget equal",
    )
    tuning: Tuning | None = Field(None, description="absent where nothing was tuned")
    predictions: dict[Name, Text] = Field(
        default_factory=dict, description="study -> what it predicts of these runs, with its margin"
    )
    registered: Amount | None = Field(default=None, description="Unix time at which the predictions were written first")

    @property
    def runs(self) -> tuple[str, ...]:
        """The ids of all runs, each once, in the order of the tracks."""
        return tuple(dict.fromkeys((*(run for track in self.tracks for run in track.runs), *self.untracked)))

    def not_after_predictions(self, began: Mapping[str, float | None]) -> list[str]:
        """List the runs that are not known to have begun after the predictions were written.

        Args:
            began: run id -> Unix time of its first step, where that is known.
        """
        since = self.registered
        return [run for run, at in began.items() if at is None or since is None or at < since]


def manifest_files(root: str | Path) -> list[Path]:
    """List the manifest files of a store, in the order of their names."""
    return sorted((Path(root) / FOLDER).glob("*.json"))


def read_manifest(path: Path) -> SuiteManifest:
    """Read one manifest.

    Raises:
        DamagedError: the file is no manifest; the message names it.
    """
    try:
        manifest = SuiteManifest.model_validate_json(read_bytes(path), strict=True)
    except OSError as error:
        problem = error.strerror or str(error)
    except ValidationError as error:
        problem = explain(error)[0]
    else:
        if manifest.name == path.stem:
            return manifest
        problem = f"it is that of the suite {manifest.name!r}"
    raise DamagedError(
        Damaged(path, problem, "suite manifest", "Restore it, or launch its suite again to write it anew")
    )


def write_manifest(store: Store, manifest: SuiteManifest) -> None:
    """Write a manifest to its store, and when its predictions were written first; refuse what was seen to be changed.

    Raises:
        StateError: the manifest of this name in the store lists a finished run in a track, and the new one does not
            list it there, or predicts something else of such runs.
    """
    path = store.root / FOLDER / f"{manifest.name}.json"
    registered = time.time() if manifest.predictions else None
    if os.path.lexists(path):
        old = read_manifest(path)
        retracted = reasons(read_retractions(store.root))
        if old.predictions == manifest.predictions:
            registered = old.registered
        elif old.predictions and (seen := [run for run in old.runs if run not in retracted and store.has(run)]):
            raise StateError(
                f"suite {manifest.name!r} would predict something else than before its runs, of which {len(seen)} are "
                "done: predictions are not changed after results were seen. Give the changed suite another name"
            )
        kept = {(track.name, run) for track in manifest.tracks for run in track.runs}
        before = [(track.name, run) for track in old.tracks for run in track.runs]
        dropped = [run for track, run in before if (track, run) not in kept and run not in retracted and store.has(run)]
        if dropped:
            raise StateError(
                f"suite {manifest.name!r} would lose {len(dropped)} runs that are done (first: {dropped[0][:12]}): "
                "results are not dropped after they were seen. Give the changed suite another name, or retract those "
                f"runs, with the reason, in {store.root / RETRACTED}"
            )
    make_folder(path.parent)
    manifest = manifest.model_copy(update={"registered": registered})
    atomic_write_bytes(path, manifest.model_dump_json(indent=1).encode() + b"\n")
