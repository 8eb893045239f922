"""The suite of the final runs: chosen settings on all training data, with seeds that no trial has had."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...results.records.trials import Trial
from ..suites.entries import Entry
from ..suites.suite import Suite
from ..suites.toml_text import table
from ..training.keeping import Keep


def final_suite(suite: Suite, trials: Sequence[Trial], ledger: str, sha256: str, folder: Path) -> str:
    """Write the tuned suite as TOML: the settings that the trials chose, and the ledger that proves it.

    A method with the same setting on all tracks has one entry, else one a track. Track T takes the settings of G, or
    of E where the suite has no G.

    Args:
        suite: the suite that was tuned.
        trials: what :func:`~sambench.benchmarks.tuning.search.tune` returned.
        ledger: name of the file that they are in.
        sha256: sha256 of the ledger's file.
        folder: where the suite will lie; places in it are relative to that, for it to be found on another machine.
    """
    tracks = [track.name for track in suite.resolved_tracks]
    top = {"title": suite.title, "description": suite.description, "tracks": tracks, "seeds": list(suite.seeds)}
    code = [_from(folder, one) if one.endswith(".py") else one for one in suite.plugins]
    top |= {"plugins": code} if code else {}
    parts = [
        f"# Written by `sambench tune {suite.name}`; the trials are in the ledger.\n{table(top)}",
        f"[spec]\n{table(suite.common)}",
        f"[tuned]\n{table({'ledger': ledger, 'sha256': sha256})}",
    ]
    if suite.places:  # which say the augmentation of a format, too
        kinds = {one.name: one.location.partition(":")[::2] for one in suite.places}
        parts.append(f"[sources]\n{table({name: f'{kind}:{_from(folder, at)}' for name, (kind, at) in kinds.items()})}")
    if suite.seconds is not None:
        parts.append(f"[time]\n{table({'seconds': suite.seconds})}")
    if suite.keep:
        points = [point if point.endswith("%") else int(point) for point in Keep.parse(suite.keep).points]
        parts.append(f"[keep]\n{table({'weights': True, 'at': points})}")
    if suite.predictions:
        parts.append(f"[predictions]\n{table(suite.predictions)}")
    chosen = {(trial.method, trial.track): trial for trial in trials if trial.chosen}
    epochs = suite.budget is not None and suite.budget.epochs is not None
    for one in suite.entries:
        if one.reference:
            hyper = {key: value for key, value in one.own.items() if key in one.fields.get("hyper", {})}
            own = {key: value for key, value in one.own.items() if key not in hyper}
            parts.append(f"[[runs]]\n{table({'reference': True, **own} | ({'hyper': hyper} if hyper else {}))}")
        else:
            parts += _entries(one, tracks, chosen, epochs)
    return "\n".join(parts)


def _from(folder: Path, place: str) -> str:
    return Path(os.path.relpath(place, folder.absolute())).as_posix()


def _entries(one: Entry, tracks: Sequence[str], chosen: Mapping[tuple[str, str], Trial], epochs: bool) -> list[str]:
    texts: dict[str, list[str]] = {}
    mine = [track for track in tracks if one.track in (None, track)]
    for track in mine:
        source = next(t for t in (track, "G", "E") if (one.method, t) in chosen)
        trial = chosen[one.method, source]
        texts.setdefault(_settings(one, trial, epochs), []).append(track)
    entries = []
    for text, of in texts.items():
        for track in [None] if of == tracks else of:
            only = "" if track is None else table({"track": track})
            entries.append(f"[[runs]]\n{only}{text}")
    return entries


def _settings(one: Entry, trial: Trial, epochs: bool) -> str:
    hyper = json.loads(trial.hyper)
    fields = {key: value for key, value in one.own.items() if key not in hyper and key != "variant"}
    values = {"variant": trial.variant, **fields, "lr": trial.lr, "weight_decay": trial.weight_decay}
    values |= {"epochs": trial.epochs} if epochs else {}
    values |= {"hyper": hyper} if hyper else {}
    note = f"# at the edge of its range: {trial.edges}\n" if trial.edges else ""
    return note + table(values)
