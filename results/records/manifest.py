"""The roster of a suite: its runs and the tracks they belong to, written down before the first of them starts.

A run does not know what it is compared in: one training of SAM is a row of the table at equal epochs and of that at
equal gradient evaluations. The roster says so, and since it is there before the runs are, it also says what is missing.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from ...atomic import atomic_write_bytes, make_folder
from ...errors import StateError
from .record import RunRecord
from .store import Store

FOLDER = "suites"
"""Folder of the rosters, ``NAME.json``, and of tuned suites, ``NAME.toml``, beside the records of a store."""

TRACKS = {
    "E": "equal epochs",
    "G": "equal gradient evaluations",
    "T": "equal wall-clock time on one device",
}
RunId = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Calibration(_Frozen):
    """What track T rests on: the time of an epoch of each method, measured in turns on one device before the runs."""

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
        """What a run spent, in the unit of the budget, as counted by the run itself.

        It is the proof of the budget: epochs are planned from the cost that a variant declares.
        """
        epochs = record.curve[-1].epoch if record.curve else 0
        if self.name == "E":
            return float(epochs)
        if self.name == "T":
            return record.timing.train_seconds
        return epochs * record.counters.gradient_evaluations / max(1, record.counters.steps)


class Tuning(_Frozen):
    """Where the settings of a suite come from."""

    ledger: str = Field(description="file in the folder of ledgers")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of that file")


class SuiteManifest(_Frozen):
    """What a suite promised: its tracks, its seeds, and how its settings were chosen."""

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
        description="run ids of a suite without tracks, which holds nothing equal",
    )
    tuning: Tuning | None = Field(None, description="absent where nothing was tuned")

    @property
    def runs(self) -> tuple[str, ...]:
        """Every run, each once."""
        return tuple(dict.fromkeys((*(run for track in self.tracks for run in track.runs), *self.untracked)))


def read_manifests(root: str | Path) -> list[SuiteManifest]:
    """Read the rosters of a store, in the order of their names.

    Raises:
        StateError: a file is no roster; the message names it.
    """
    return [read_roster(path) for path in roster_files(root)]


def roster_files(root: str | Path) -> list[Path]:
    """List the files of the rosters of a store, in the order of their names."""
    return sorted((Path(root) / FOLDER).glob("*.json"))


def read_roster(path: Path) -> SuiteManifest:
    """Read one roster.

    Raises:
        StateError: the file is no roster; the message names it.
    """
    try:
        return SuiteManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise StateError(
            f"{path} is not a roster: {where}: {first['msg']}. Restore it, or launch its suite again to write it anew"
        ) from error


def write_roster(store: Store, manifest: SuiteManifest) -> None:
    """Write a roster to its store, unless that would make finished runs disappear from its tracks.

    Raises:
        StateError: the store holds another roster of this name with tracks, this one leaves out runs of them, and
            they are done: results may not be dropped after they were seen.
    """
    path = store.root / FOLDER / f"{manifest.name}.json"
    if path.is_file():
        kept = {(track.name, run) for track in manifest.tracks for run in track.runs}
        before = [(track.name, run) for track in read_roster(path).tracks for run in track.runs]
        dropped = [run for track, run in before if (track, run) not in kept and store.has(run)]
        if dropped:
            raise StateError(
                f"suite {manifest.name!r} would lose {len(dropped)} runs that are done (first: {dropped[0][:12]}): "
                "results are not dropped after they were seen. Give the changed suite another name, or delete "
                f"{path} if nothing was concluded from it"
            )
    make_folder(path.parent)
    atomic_write_bytes(path, manifest.model_dump_json(indent=1).encode() + b"\n")
