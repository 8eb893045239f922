"""The manifest of a suite: its runs and their tracks, written before the first of them starts.

A record does not say which tables its run belongs to: one training of SAM may be a row of the table at equal epochs and
of that at equal gradient evaluations. The manifest says it. Since it is written before the runs, it also shows which of
them are missing.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from ...atomic import atomic_write_bytes, make_folder
from ...errors import StateError, explain
from .record import RunRecord
from .store import Store

FOLDER = "suites"
"""Folder of the manifests, ``NAME.json``, and of tuned suites, ``NAME.toml``, beside the records of a store."""

TRACKS = {
    "E": "equal epochs",
    "G": "equal gradient evaluations",
    "T": "equal wall-clock time on one device",
}
RunId = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Calibration(_Frozen):
    """The times that track T is planned with: seconds per epoch of each method, measured on one device."""

    device_name: str
    threads: int = Field(gt=0)
    host: str = Field(description="hash of the machine, as in records")
    torch: str
    seconds: dict[str, float] = Field(description="method -> seconds of one epoch, the median of its turns")
    turns: int = Field(gt=0, description="how often every method was timed")


class Track(_Frozen):
    """The runs that are compared at one budget."""

    name: Literal["E", "G", "T"]
    budget: float = Field(
        gt=0,
        description="what a run may spend. E: epochs; G: passes of the training set forward and backward, that is "
        "epochs times gradient evaluations per step; T: seconds of training",
    )
    runs: tuple[RunId, ...] = Field(description="run ids, in the order of the suite")
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
        return epochs * record.counters.gradient_evaluations / max(1, record.counters.steps)


class Tuning(_Frozen):
    """The tuning that chose the settings of a suite."""

    ledger: str = Field(description="file in the folder of ledgers")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of that file")


class SuiteManifest(_Frozen):
    """What a suite promised before its runs: tracks, seeds, and where its settings come from."""

    schema_version: Literal[1] = 1
    name: str
    title: str
    description: str = Field(description="what the suite shows, and what it does not")
    command: str = Field(description="what makes the runs")
    seeds: tuple[int, ...]
    tracks: tuple[Track, ...]
    untracked: tuple[RunId, ...] = Field(
        (),
        validation_alias=AliasChoices("untracked", "loose"),  # schema 1 was first written with the latter
        description="run ids of a suite without tracks, which holds no budget equal",
    )
    tuning: Tuning | None = Field(None, description="absent where nothing was tuned")

    @property
    def runs(self) -> tuple[str, ...]:
        """The ids of all runs, each once, in the order of the tracks."""
        return tuple(dict.fromkeys((*(run for track in self.tracks for run in track.runs), *self.untracked)))


def read_manifests(root: str | Path) -> list[SuiteManifest]:
    """Read the manifests of a store, in the order of their names.

    Args:
        root: results folder of the store.

    Raises:
        StateError: a file is no manifest; the message names it.
    """
    return [read_manifest(path) for path in manifest_files(root)]


def manifest_files(root: str | Path) -> list[Path]:
    """List the manifest files of a store, in the order of their names."""
    return sorted((Path(root) / FOLDER).glob("*.json"))


def read_manifest(path: Path) -> SuiteManifest:
    """Read one manifest.

    Raises:
        StateError: the file is no manifest; the message names it.
    """
    try:
        return SuiteManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise StateError(
            f"{path} is not a suite manifest: {explain(error)[0]}. Restore it, or launch its suite again to write it "
            "anew"
        ) from error


def write_manifest(store: Store, manifest: SuiteManifest) -> None:
    """Write a manifest to its store; refuse if finished runs would disappear from its tracks.

    Raises:
        StateError: the manifest of this name in the store lists a finished run in a track, and the new one does not
            list it there: results may not be dropped after they were seen.
    """
    path = store.root / FOLDER / f"{manifest.name}.json"
    if path.is_file():
        kept = {(track.name, run) for track in manifest.tracks for run in track.runs}
        before = [(track.name, run) for track in read_manifest(path).tracks for run in track.runs]
        dropped = [run for track, run in before if (track, run) not in kept and store.has(run)]
        if dropped:
            raise StateError(
                f"suite {manifest.name!r} would lose {len(dropped)} runs that are done (first: {dropped[0][:12]}): "
                "results are not dropped after they were seen. Give the changed suite another name, or delete "
                f"{path} if nothing was concluded from it"
            )
    make_folder(path.parent)
    atomic_write_bytes(path, manifest.model_dump_json(indent=1).encode() + b"\n")
