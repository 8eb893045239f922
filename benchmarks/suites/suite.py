"""Suites: a TOML file that expands, always in the same order, into run specs.

title = "What the suite answers"
tracks = ["E", "G"]              # what is held equal; without, epochs are as each run says
seeds = [0, 1, 2]
plugins = ["mine.py"]            # code that it needs: files, relative to this one, or modules; they are imported

[sources]                        # where data sets come from that are not known by name
cifar10-jpeg = "parquet:data"    # relative to the folder of the suite

[spec]                           # any field of a run, for all of them
dataset = "cifar10-jpeg"
epochs = 20                      # with tracks: of SAM; the tracks derive those of the others

[tuning]                         # one budget for every method; `sambench tune` spends it
trials = 12

[time]                           # track T
seconds = 3600

[predictions]                    # what a study predicts of the runs, before them
label_noise = "..."

[keep]                           # the evaluated weights of every run, beside its record
weights = true
at = [0, 10, "50%"]              # and those after so many epochs, or that share of them

[[runs]]                         # any field of a run; `grid` multiplies; other names are hyper-parameters
variant = "unified_sam"
grid = { rho = [0.1, 0.2], lam = [0.0, "1-1/t"] }

[[runs]]                         # beside tracks: settings of its own, shown apart and compared with nothing
variant = "sgd"
reference = true
epochs = 2
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...datasets.registry import check_name
from ...datasets.source import Source
from ...errors import ConfigError, explain, unknown
from ...registry import load_plugin
from ...results.records.fields import Distinct, Name, Text, Whole
from ...results.records.manifest import Calibration, Seconds, Tuning
from ..resolve import recipe_of
from ..spec import RunSpec
from ..training.keeping import Keep
from .entries import Entry, ResolvedTrack, expand_entries, resolved_tracks, specs_without_tracks
from .files import SUITES
from .tuning_budget import Budget, read_budget

_log = logging.getLogger(__name__)


class _Keep(BaseModel):
    """What the table ``[keep]`` holds."""

    model_config = ConfigDict(strict=True, extra="forbid")

    weights: bool = True
    at: list[int | str] = []


class _Entry(BaseModel):
    """A table ``[[runs]]``: these keys, and fields and hyper-parameters of a run, which the spec checks."""

    model_config = ConfigDict(strict=True, extra="allow")

    variant: Name = "sgd"
    sampler: Name = ""
    track: Name | None = None
    reference: bool = False
    hyper: dict[Name, Any] = {}
    grid: dict[Name, Annotated[list[Any], Field(min_length=1, max_length=10_000)]] = {}


class _Time(BaseModel):
    """The table ``[time]``: the budget of track T, and how long an epoch of each method takes."""

    model_config = ConfigDict(strict=True, extra="forbid")

    seconds: Seconds | None = None
    calibration: Calibration | None = None


class _File(BaseModel):
    """What the file of a suite holds, as far as it can be said without knowing variants and data sets."""

    model_config = ConfigDict(strict=True)

    title: Annotated[Name, Field(max_length=1000)] = ""
    description: Text = ""
    tracks: Distinct[Name] = []
    seeds: Distinct[Whole] = []
    plugins: Distinct[Name] = []
    sources: dict[Name, str] = {}
    spec: dict[str, Any] = {}
    at_scale: dict[str, Any] = {}
    tuning: dict[str, Any] = {}
    tuned: Tuning | None = None
    time: _Time = _Time()
    keep: _Keep = _Keep(weights=False)
    predictions: dict[Name, Text] = {}
    runs: list[_Entry] = []


_TOP = tuple(_File.model_fields)


@dataclass(frozen=True)
class Suite:
    """A named, ordered list of runs.

    Args:
        name: the file's name without its ending.
        title: one line for headings.
        description: what the suite shows and what it does not.
        specs: specs of the runs, in a fixed order, each once.
        sources: data sets by name, for those that are not known by name.
        places: those of them that the suite's own file names, wherever a command took them from.
        seeds: seeds that every method is run with.
        resolved_tracks: its tracks with their budgets and runs; one run may be in several.
        common: the table ``[spec]``, as it was written.
        entries: what is compared, before seeds and tracks.
        budget: of the tuning that has to come first, or None.
        tuned: the ledger that its settings come from, or None.
        seconds: time budget of track T, or None.
        keep: what of the weights of its runs is kept, as ``--keep`` takes it; empty for nothing.
        plugins: paths of the files, and names of the modules, that register what it names.
        place: how it was named, for commands: a shipped suite, or the path of its file; empty for one made in Python.
        references: runs of its reference rows, which are on no track.
        predictions: study -> what it predicts of the runs; the manifest has it before the first of them.
    """

    name: str
    title: str
    description: str
    specs: tuple[RunSpec, ...]
    sources: tuple[Source, ...] = ()
    places: tuple[Source, ...] = ()
    seeds: tuple[int, ...] = ()
    resolved_tracks: tuple[ResolvedTrack, ...] = ()
    common: Mapping[str, Any] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    budget: Budget | None = None
    tuned: Tuning | None = None
    seconds: float | None = None
    keep: str = ""
    plugins: tuple[str, ...] = ()
    place: str = ""
    references: tuple[RunSpec, ...] = ()
    predictions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def run_ids(self) -> tuple[str, ...]:
        """The ids of the runs, in their order; each is a hash that takes time in large suites."""
        return tuple(spec.run_id for spec in self.specs)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The runs in short, for people, in their order."""
        return tuple(spec.label() for spec in self.specs)

    def source(self, spec: RunSpec) -> Source | None:
        """Where the data of a run comes from, if the suite says so."""
        return next((source for source in self.sources if source.name == spec.dataset), None)


def load_suite(name_or_path: str, sources: tuple[Source, ...] = ()) -> Suite:
    """Read a suite by name or from a file. Plug-ins that it names are imported: such a suite is code.

    Args:
        name_or_path: a shipped suite (``quickstart``) or the path of a TOML file.
        sources: data sets whose place differs from what the suite says.

    Raises:
        ConfigError: an unknown suite, or all that is wrong in the file, each with the nearest valid name.
    """
    name, content, folder = SUITES.parse(name_or_path)
    return expand_suite(name, content, folder, sources, name_or_path)


def read_predictions(name_or_path: str) -> Mapping[str, str]:
    """Read what a suite says that studies predict of its runs; the runs themselves are not looked at.

    Raises:
        ConfigError: an unknown suite, or keys and types that its file may not have.
    """
    name, content, _ = SUITES.parse(name_or_path)
    file, problems = _read_file(name, content)
    if problems:
        raise ConfigError("\n".join([f"suite {name!r} cannot be used:", *problems]))
    return file.predictions


def _read_file(name: str, content: Mapping[str, Any]) -> tuple[_File, list[str]]:
    """Read what the file of a suite holds, and list the keys that mean nothing."""
    problems = [str(unknown("key", key, _TOP)) for key in content if key not in _TOP]
    try:
        return _File.model_validate(content), problems
    except ValidationError as error:
        raise ConfigError("\n".join([f"suite {name!r} cannot be used:", *problems, *explain(error)])) from error


def expand_suite(
    name: str, content: Mapping[str, Any], folder: Path, overrides: tuple[Source, ...] = (), given_as: str = ""
) -> Suite:
    """Make a suite of what its file holds.

    Args:
        name: of the suite.
        content: of its file.
        folder: what places in it are relative to.
        overrides: data sets whose place differs from what the suite says.
        given_as: how it was named, for commands.

    Raises:
        ConfigError: all that is wrong in it.
    """
    file, problems = _read_file(name, content)
    if not content.get("runs"):
        problems.append(f"suite {name!r} has no [[runs]]")
    plugins = _load_plugins(name, file.plugins, folder)
    seeds = tuple(content.get("seeds", [0]))
    common = content.get("spec", {})
    entries: tuple[Entry, ...] = ()
    try:
        entries = _with_recipes(expand_entries(content.get("runs", []), common), file.sources)
    except ConfigError as error:
        problems.append(str(error))
    given = {source.name: source for source in overrides}
    places = {key: Source(key, place).below(folder) for key, place in content.get("sources", {}).items()}
    for source in {**places, **given}.values():
        try:
            check_name(source.name, source.location)
        except ConfigError as error:
            problems.append(str(error))
    found: dict[str, Any] = {}
    tuned_epochs = common.get("epochs", RunSpec.model_fields["epochs"].default) if "tuned" in content else None
    for part, read in {
        "resolved_tracks": lambda: resolved_tracks(
            file.tracks, entries, seeds, file.time.seconds, file.time.calibration, tuned_epochs
        ),
        "specs": lambda: () if content.get("tracks") else specs_without_tracks(entries, seeds),
        "references": lambda: specs_without_tracks([one for one in entries if one.reference], seeds),
        "budget": lambda: read_budget(content["tuning"], entries, seeds) if "tuning" in content else None,
        "keep": lambda: _read_keep(file.keep),
    }.items():
        try:
            found[part] = read()
        except ConfigError as error:
            problems += str(error).splitlines()
    if problems:
        raise ConfigError("\n".join([f"suite {name!r} cannot be used:", *problems]))
    of_tracks = [spec for track in found["resolved_tracks"] for spec in track.specs]
    of_tracks.sort(key=lambda spec: seeds.index(spec.seed))
    ordered = [*found.pop("specs"), *of_tracks, *found["references"]]
    datasets = {spec.dataset for spec in ordered}
    for source in given.keys() - datasets:
        raise unknown(f"data set of suite {name!r} with a place of its own", source, datasets)
    unique = {spec.run_id: spec for spec in ordered}
    suite = Suite(
        name=name,
        title=content.get("title", name),
        description=content.get("description", "").strip(),
        specs=tuple(unique.values()),
        sources=tuple({**places, **given}.values()),
        places=tuple(places.values()),
        seeds=seeds,
        common=common,
        entries=entries,
        tuned=file.tuned,
        seconds=file.time.seconds,
        predictions=file.predictions,
        plugins=plugins,
        place=given_as,
        **found,
    )
    suite.__dict__["run_ids"] = tuple(unique)  # the cached property: 10,000 hashes take half a second
    return suite


def _with_recipes(entries: Iterable[Entry], sources: Mapping[str, str]) -> tuple[Entry, ...]:
    """Give runs on a data set that the suite names a place of the augmentation of its loader, unless they say one."""
    recipes = {name: recipe_of(name, location) for name, location in sources.items()}
    return tuple(
        replace(one, fields={"augment": recipes[one.fields["dataset"]], **one.fields})
        if one.fields.get("dataset") in recipes
        else one
        for one in entries
    )


def _load_plugins(name: str, plugins: list[str], folder: Path) -> tuple[str, ...]:
    """Import the code that a suite names, and say so: who runs a suite of somebody else runs their code."""
    places = tuple(str(folder / one) if one.endswith(".py") else one for one in plugins)
    for place in places:
        added = load_plugin(place)
        _log.info("suite %s loads the code of %s: %s", name, place, ", ".join(added))
    return places


def _read_keep(table: _Keep) -> str:
    keep = Keep.parse("weights" + ("@" + ",".join(map(str, table.at)) if table.at else ""))
    if not table.weights and keep.points:
        raise ConfigError("[keep] at=... is not valid without weights: set weights = true, or leave at out")
    return str(keep) if table.weights else ""
