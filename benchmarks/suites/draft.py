"""Suites that are put together on a command line: from names of variants, or from a suite with some of it changed.

A draft is the content of a suite's file. ``launch`` writes it beside the records before the first run, so that what was
run can be read, changed and launched again; it has the same runs as that file, since both are expanded alike.
"""

import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ...atomic import atomic_write_bytes, make_folder
from ...datasets.source import Source
from ...errors import ConfigError, unknown
from ...results.records.manifest import FOLDER, TRACKS
from .files import SUITES
from .toml_text import suite_text

MOST_SEEDS = 10_000
MOST_NAME = 80
"""Letters of a draft's name; a longer one ends with a hash of the rest."""


@dataclass(frozen=True)
class Changes:
    """What a command says of a suite; None where it says nothing.

    Args:
        variants: names, separated by commas, of a suite that is made of nothing else.
        dataset: data set of all runs, by name or with its place, as in ``NAME=KIND:DIR``.
        model: model of all runs.
        epochs: epochs of all runs; with tracks, those of SAM.
        seeds: seeds as in ``0-4`` or ``0,2,7``.
        only: variants of the suite that stay: names or patterns, separated by commas.
        track: tracks, separated by commas.
    """

    variants: str | None = None
    dataset: str | None = None
    model: str | None = None
    epochs: int | None = None
    seeds: str | None = None
    only: str | None = None
    track: str | None = None

    def words(self) -> str:
        """Return the options that say it."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return " ".join(f"--{name} {shlex.quote(str(one))}" for name, one in given.items() if one is not None)


@dataclass(frozen=True)
class Draft:
    """A suite that is in no file yet.

    Args:
        name: made of all that was said, so that another draft has another name.
        content: of its file; places in it are absolute.
        words: the suite and the options that it is made from, as they are typed.
    """

    name: str
    content: Mapping[str, Any]
    words: str

    @property
    def command(self) -> str:
        """The command that makes its runs."""
        return f"sambench launch {self.words}"

    def path(self, results: Path) -> Path:
        """Return the path of its file in a results folder."""
        return results / FOLDER / f"{self.name}.toml"

    def write(self, results: Path) -> Path:
        """Write its file into a results folder, where tuned suites are too, and return the path."""
        path = self.path(results)
        make_folder(path.parent)
        atomic_write_bytes(path, suite_text(self.content, f"Written by `{self.command}`.").encode())
        return path


def draft(suite: str | None, changes: Changes) -> Draft | None:
    """Put a suite together; None where a suite is named and nothing of it is changed.

    Args:
        suite: a shipped suite or the path of a TOML file; None for a new one.
        changes: what is said of it.

    Raises:
        ConfigError: there is neither a suite nor a variant, or a change that this suite cannot have.
    """
    words = " ".join(filter(None, [suite and shlex.quote(suite), changes.words()]))
    if suite is None:
        if changes.variants is None:
            raise ConfigError(
                "there is nothing to run: name a suite (`sambench list suites`), or variants, as in "
                "--variants sgd,sam --dataset digits --seeds 0-2"
            )
        content = {"runs": [{"variant": one} for one in _listed("--variants", changes.variants)]}
        return _changed("", content, replace(changes, variants=None), changes.variants, words)
    if changes.variants is not None:
        raise ConfigError(f"--variants makes a suite of its own; of suite {suite!r} choose with --only")
    if changes == Changes():
        return None
    name, content, folder = SUITES.parse(suite)
    places = {key: Source(key, str(place)).below(folder).location for key, place in content.get("sources", {}).items()}
    code = [str(folder / one) if one.endswith(".py") else one for one in content.get("plugins", [])]
    moved = {**content, **({"sources": places} if places else {}), **({"plugins": code} if code else {})}
    return _changed(name, moved, changes, "", words)


def _changed(name: str, content: dict[str, Any], changes: Changes, variants: str, words: str) -> Draft:
    entries = [dict(entry) for entry in content.get("runs", [])]
    if changes.only is not None:
        entries = _only(changes.only, entries)
    source = Source.parse(changes.dataset or "")
    said = {"dataset": source.name, "model": changes.model, "epochs": changes.epochs}
    common = {key: one for key, one in said.items() if one}
    seeds = None if changes.seeds is None else read_seeds(changes.seeds)
    tracks = None if changes.track is None else _listed("--track", changes.track)
    for track in tracks or ():
        if track not in TRACKS:
            raise unknown("track", track, TRACKS)
        if track == "T" and "time" not in content:
            raise ConfigError(
                "--track T takes a suite file, with [time], and a calibration: docs/protocol.md. E and G do not"
            )
    if tracks and changes.epochs is not None:  # the tracks decide the epochs of every run
        entries = [entry if entry.get("reference") else _without_epochs(entry) for entry in entries]
    for key in [*common, *(["seed"] if seeds is not None else [])]:
        for number, entry in enumerate(entries, 1):
            if (key in entry or key in entry.get("grid", {})) and not entry.get("reference"):
                way_out = ", or add --track G" if key == "epochs" else ""
                raise ConfigError(
                    f"--{key}{'s' if key == 'seed' else ''}: [[runs]] number {number} says {key} itself, and what it "
                    f"compares would change; edit a copy of the suite{way_out}"
                )
    parts = [variants or name, changes.only, source.name, changes.model, changes.track]
    if changes.epochs is not None:
        parts.append(f"epochs{changes.epochs}")
    if changes.seeds is not None:  # 0,2 has another name than 0-2
        parts.append(f"seeds{re.sub(' *, *', '+', changes.seeds.strip())}")
    plain = "-".join(filter(None, parts))
    full = re.sub(r"[^A-Za-z0-9._+-]+", "-", plain).strip("-")
    # Of what the name does not tell, a hash does: another draft must not be written in the place of this one.
    lossy = re.search(r"[^A-Za-z0-9._,+-]", plain) or source.location != source.name
    if lossy or len(full) > MOST_NAME:
        full = f"{full[: MOST_NAME - 9]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
    shown = ", ".join(f"{field.name} {one}" for field in fields(changes) if (one := getattr(changes, field.name)))
    title = content.get("title", name)
    made = {
        **content,
        "title": f"{title} ({shown})" if name else f"{variants.replace(',', ', ')}{shown and ': '}{shown}",
        **({"tracks": tracks} if tracks is not None else {}),
        **({"seeds": seeds} if seeds is not None else {}),
        **({"spec": {**content.get("spec", {}), **common}} if common or "spec" in content else {}),
        "runs": entries,
    }
    if source.location != source.name:
        made["sources"] = {**content.get("sources", {}), source.name: source.below(Path.cwd()).location}
    for key in ("predictions", "at_scale"):  # they were made of other runs
        made.pop(key, None)
    return Draft(full, made, words)


def _without_epochs(entry: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in entry.items() if name not in ("epochs", "grid")}
    grid = {name: values for name, values in entry.get("grid", {}).items() if name != "epochs"}
    return {**kept, "grid": grid} if grid else kept


def _only(patterns: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of the variants that match, which some entries have in their grid."""
    wanted = _listed("--only", patterns)
    named = {str(one) for entry in entries for one in _variants(entry)}
    for pattern in wanted:
        if not any(fnmatch(name, pattern) for name in named):
            raise unknown("variant of the suite", pattern, named)
    kept = []
    for entry in entries:
        stay = [one for one in _variants(entry) if any(fnmatch(str(one), pattern) for pattern in wanted)]
        if stay and "variant" in entry.get("grid", {}):
            entry = {**entry, "grid": {**entry["grid"], "variant": stay}}
        kept += [entry] if stay else []
    return kept


def _variants(entry: Mapping[str, Any]) -> list[Any]:
    return entry.get("grid", {}).get("variant", [entry.get("variant", "sgd")])


def _listed(option: str, text: str) -> list[str]:
    names = [one.strip() for one in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise ConfigError(f"{option} {text!r:.80} is not valid: names separated by commas, each once")
    return names


def read_seeds(text: str) -> list[int]:
    """Read seeds: numbers and ranges, separated by commas.

    Raises:
        ConfigError: it is something else, or a seed is named twice.

    Example:
        >>> read_seeds("0-2,7")
        [0, 1, 2, 7]
    """
    seeds: list[int] = []
    refusal = ConfigError(
        f"--seeds {text!r:.80} is not valid: numbers and ranges, each seed once and {MOST_SEEDS:,} at most, as in "
        "0-4 or 0,2,7"
    )
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,18})(?:\s*-\s*(\d{1,18}))?\s*", part)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not low <= high < low + MOST_SEEDS:
            raise refusal
        seeds += range(low, high + 1)
    if len(set(seeds)) < len(seeds) or len(seeds) > MOST_SEEDS:
        raise refusal
    return seeds
