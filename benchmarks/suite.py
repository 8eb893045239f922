"""Suites: a TOML file that expands, always in the same order, into run specs.

title = "What the suite answers"
seeds = [0, 1, 2]

[sources]                        # where data sets come from that are not known by name
cifar10-jpeg = "parquet:data"    # relative to the folder of the suite

[spec]                           # any field of a run, for all of them
dataset = "cifar10-jpeg"
epochs = 20

[[runs]]                         # any field of a run; `grid` multiplies; other names are hyper-parameters
variant = "unified_sam"
grid = { rho = [0.1, 0.2], lam = [0.0, "1-1/t"] }
"""

import itertools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import ConfigError, unknown
from . import suites
from .spec import RunSpec, Source, make_spec

_TOP = ("title", "description", "seeds", "sources", "spec", "runs")


@dataclass(frozen=True)
class Suite:
    """A named, ordered list of runs.

    Args:
        name: the file's name without its ending.
        title: one line.
        description: what the suite shows and what it does not.
        specs: the runs, without repetition.
        sources: data sets by name, for those that are not known by name.
    """

    name: str
    title: str
    description: str
    specs: tuple[RunSpec, ...]
    sources: tuple[Source, ...] = ()

    def source(self, spec: RunSpec) -> Source | None:
        """Where the data of a run comes from, if the suite says so."""
        return next((source for source in self.sources if source.name == spec.dataset), None)


def list_suites() -> list[str]:
    """Names of the suites that ship with sambench."""
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def load_suite(name_or_path: str, sources: tuple[Source, ...] = ()) -> Suite:
    """Read a suite by name or from a file.

    Args:
        name_or_path: a shipped suite (``quickstart``) or the path of a TOML file.
        sources: data sets whose place differs from what the suite says.

    Raises:
        ConfigError: an unknown suite, or all that is wrong in the file, each with the nearest valid name.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(f"suite {name_or_path!r} does not exist; give a TOML file or one of: {_names()}")
        text, folder, name = path.read_text(), path.resolve().parent, path.stem
    else:
        if name_or_path not in list_suites():
            raise unknown("suite", name_or_path, list_suites())
        text, folder, name = (_folder() / f"{name_or_path}.toml").read_text(), Path.cwd(), name_or_path
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"suite {name_or_path!r} is not valid TOML: {error}") from error
    return _expand(name, content, folder, sources)


def _folder() -> Any:
    return files(suites)


def _names() -> str:
    return ", ".join(list_suites())


def _expand(name: str, content: dict[str, Any], folder: Path, overrides: tuple[Source, ...]) -> Suite:
    problems = [_unknown_key(name, key) for key in content if key not in _TOP]
    if not content.get("runs"):
        problems.append(f"suite {name!r} has no [[runs]]")
    seeds = content.get("seeds", [0])
    common = content.get("spec", {})
    specs: dict[str, RunSpec] = {}
    for number, entry in enumerate(content.get("runs", []), 1):
        for fields in _grid({**common, **entry}, seeds):
            try:
                spec = make_spec(fields)
            except ConfigError as error:
                problems += [f"[[runs]] number {number}: {line}" for line in str(error).splitlines()]
                break
            specs.setdefault(spec.run_id, spec)
    if problems:
        raise ConfigError("\n".join([f"suite {name!r} cannot be used:", *problems]))
    given = {source.name: source for source in overrides}
    places = {key: Source(key, _absolute(place, folder)) for key, place in content.get("sources", {}).items()}
    return Suite(
        name,
        content.get("title", name),
        content.get("description", "").strip(),
        tuple(specs.values()),
        tuple({**places, **given}.values()),
    )


def _unknown_key(name: str, key: str) -> str:
    near = get_close_matches(key, _TOP, n=1)
    return f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else f"; valid: {', '.join(_TOP)}")


def _grid(entry: dict[str, Any], seeds: list[int]) -> Iterator[dict[str, Any]]:
    """Multiply an entry out: over its grid in the order of the file, then over the seeds."""
    axes = {**entry.get("grid", {})}
    if "seed" not in entry and "seed" not in axes:
        axes["seed"] = seeds
    fixed = {key: value for key, value in entry.items() if key != "grid"}
    for values in itertools.product(*axes.values()):
        fields: dict[str, Any] = {"hyper": {}}
        for key, value in {**fixed, **dict(zip(axes, values, strict=True))}.items():
            if key == "hyper":
                fields["hyper"] |= value
            elif key in RunSpec.model_fields or _resembles_field(key):
                fields[key] = value
            else:
                fields["hyper"][key] = value
        yield fields


def _resembles_field(key: str) -> bool:
    """Treat a misspelt field as a field, so that the error suggests the right one."""
    return bool(get_close_matches(key, RunSpec.model_fields, n=1, cutoff=0.75))


def _absolute(place: str, folder: Path) -> str:
    kind, colon, where = place.partition(":")
    return f"{kind}:{folder / where}" if colon else place
