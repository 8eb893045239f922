"""The entries of a suite: expanded over their grids, then into run specs."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...datasets.samplers import SAMPLERS
from ...errors import ConfigError, nearest
from ...results.records.manifest import TRACKS, Calibration
from ...variants import get_info
from ..resolve import make_spec
from ..spec import RunSpec
from .tracks import budget_of, fit


@dataclass(frozen=True)
class Entry:
    """One line of a comparison: fields of a run, all but the seed.

    Args:
        method: its name in ledgers and calibrations: the variant, and what else the entry says.
        fields: of :func:`~sambench.benchmarks.spec.make_spec`; those of the whole suite included.
        own: the fields and hyper-parameters that the entry itself fixes.
        track: the only track it takes part in, or nothing for all of the suite.
        number: position of the entry in the file, from 1.
        reference: whether it is a reference row: run as it says, on no track, shown apart and compared with nothing.
    """

    method: str
    fields: Mapping[str, Any]
    own: Mapping[str, Any]
    track: str | None
    number: int
    reference: bool = False


@dataclass(frozen=True)
class ResolvedTrack:
    """One track of a suite: its budget, and the runs that it compares."""

    name: str
    budget: float
    specs: tuple[RunSpec, ...]
    calibration: Calibration | None = None


def expand_entries(entries: Sequence[Mapping[str, Any]], common: Mapping[str, Any]) -> Iterator[Entry]:
    """Multiply entries out over their grids, in the order of the file."""
    for number, entry in enumerate(entries, 1):
        axes = dict(entry.get("grid", {}))
        fixed = {key: value for key, value in entry.items() if key not in ("grid", "track", "reference")}
        for values in itertools.product(*axes.values()):
            own = {**fixed, **dict(zip(axes, values, strict=True))}
            fields = _sorted_out({**common, **own}, own, number)
            own = {**own.pop("hyper", {}), **own}
            shown = [f"{key}={value}" for key, value in own.items() if key not in ("variant", "seed")]
            method = " ".join([fields.get("variant", "sgd"), *shown])
            yield Entry(method, fields, own, entry.get("track"), number, entry.get("reference") is True)


def specs_without_tracks(entries: Sequence[Entry], seeds: Sequence[int]) -> tuple[RunSpec, ...]:
    """Make the runs of a suite without tracks: each entry as it says, over the seeds unless it has its own."""
    specs, problems = list[RunSpec](), list[str]()
    for one in entries:
        try:
            if "seed" in one.own:
                specs.append(make_spec(one.fields))
                continue
            resolved = make_spec({**one.fields, "seed": seeds[0]}).model_dump() if seeds else {}
            specs += [RunSpec.model_validate({**resolved, "seed": seed}) for seed in seeds]
        except ConfigError as error:
            problems += [f"[[runs]] number {one.number}: {line}" for line in str(error).splitlines()]
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))
    return tuple(specs)


def resolved_tracks(
    names: Sequence[str],
    entries: Sequence[Entry],
    seeds: Sequence[int],
    seconds: float | None,
    calibration: Calibration | None,
    tuned_epochs: int | None = None,
) -> tuple[ResolvedTrack, ...]:
    """Give every entry the epochs of its track. Seed by seed, so that the methods of a track take turns.

    Args:
        names: of the tracks.
        entries: what is compared, and reference rows, which are passed over.
        seeds: of the suite.
        seconds: time budget of track T.
        calibration: of track T.
        tuned_epochs: epochs of a tuned suite, whose entries may use less of their budget; else None.

    Raises:
        ConfigError: all that is wrong, one problem a line.
    """
    if not names:
        wrong = [f"[[runs]] number {one.number}: reference = true needs tracks" for one in entries if one.reference]
        if wrong:
            raise ConfigError("\n".join([*wrong, "a suite without tracks compares all it lists; write tracks = ['G']"]))
    entries = [one for one in entries if not one.reference]
    problems = [f"unknown track {name!r}; valid: {', '.join(TRACKS)}" for name in names if name not in TRACKS]
    problems += [
        f"[[runs]] number {one.number}: track {one.track!r} is not one of the suite's, "
        f"{', '.join(names) or 'which has none'}"
        for one in entries
        if one.track is not None and one.track not in names
    ]
    problems += [
        f"[[runs]] number {one.number} fixes {key!r}, which the suite decides for all; leave it out"
        for one in entries
        for key in ("epochs", "warmup_epochs", "seed")
        if names and key in one.own and (key != "epochs" or tuned_epochs is None)
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(_resolve_track(name, entries, seeds, seconds, calibration, tuned_epochs) for name in names)


def _resolve_track(
    name: str,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    seconds: float | None,
    calibration: Calibration | None,
    tuned_epochs: int | None,
) -> ResolvedTrack:
    here = [one for one in entries if one.track in (None, name)]
    if name == "T" and calibration is None:  # the suite cannot be run yet, but it can be calibrated
        return ResolvedTrack(name, budget_of(name, 1, seconds), ())
    times = calibration.seconds if calibration and name == "T" else {}
    budget, fitted, problems = 0.0, list[RunSpec](), dict[str, None]()
    for one in here:
        try:
            chosen = one.own.get("epochs")
            fields = one.fields if chosen is None else {**one.fields, "epochs": tuned_epochs}
            budget = budget_of(name, make_spec(fields).epochs, seconds)
            spec = fit(fields, name, budget, times.get(one.method))
            if chosen is not None:
                spec = _with_less(spec, fields, name, budget, chosen)
            fitted.append(spec)
        except ConfigError as error:
            problems |= {f"[[runs]] number {one.number}: {line}": None for line in str(error).splitlines()}
    if problems:
        raise ConfigError("\n".join(problems))
    specs = tuple(spec.model_copy(update={"seed": seed}) for seed in seeds for spec in fitted)
    return ResolvedTrack(name, budget, specs, calibration if name == "T" else None)


def _with_less(spec: RunSpec, fields: Mapping[str, Any], track: str, budget: float, epochs: Any) -> RunSpec:
    if not isinstance(epochs, int) or not 1 <= epochs <= spec.epochs:
        raise ConfigError(
            f"epochs={epochs!r} is not valid: track {track} allows 1 to {spec.epochs} epochs of {spec.variant!r}; a "
            "tuned suite may use less than the budget and never more"
        )
    return fit(fields, track, budget, share=epochs / spec.epochs)


def _sorted_out(given: Mapping[str, Any], own: Collection[str], number: int) -> dict[str, Any]:
    """Separate the fields of a run from hyper-parameters, which an entry gives side by side."""
    declared = _declared(given)
    for key in own:
        if key in RunSpec.model_fields and key in declared:
            raise ConfigError(
                f"[[runs]] number {number}: {key!r} is a field of every run and a hyper-parameter of "
                f"{given.get('variant')!r}; write hyper = {{ {key} = ... }} for the latter, and the field in [spec]"
            )
    fields: dict[str, Any] = {"hyper": dict(given.get("hyper", {}))}
    for key, value in given.items():
        if key in RunSpec.model_fields or (key not in declared and _resembles_field(key)):
            fields.setdefault(key, value)
        else:
            fields["hyper"][key] = value
    return fields


def _declared(given: Mapping[str, Any]) -> set[str]:
    """Return the hyper-parameters that an entry may name; none for an unknown variant, whose error comes later."""
    try:
        info = get_info(str(given.get("variant", "sgd")))
        return {*info.hyper, *SAMPLERS.get(str(given.get("sampler") or info.sampler)).hyper}
    except ConfigError:
        return set()


@cache
def _resembles_field(key: str) -> bool:
    """Treat a misspelt field as a field, so that the error message suggests the right one."""
    return bool(nearest(key, RunSpec.model_fields, cutoff=0.75))
