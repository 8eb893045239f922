"""The run ids and labels of a suite, from a cache: ``status`` and ``cancel`` need no more and start without torch."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from ...atomic import atomic_write_bytes, default_folder, make_folder
from ...datasets.source import Source
from ...errors import SambenchError
from ...reading import read_bytes
from ...registry import ENTRY_POINTS
from ...version import __version__
from .files import find_suite

if TYPE_CHECKING:
    from .suite import Suite

PACKAGE = Path(__file__).resolve().parents[2]
RESOLVES = ("variants", "datasets", "benchmarks/models", "benchmarks/suites")
"""Folders of the package whose code decides what a suite resolves to; and the files at its top and in benchmarks/."""


@dataclass(frozen=True)
class SuiteIndex:
    """What can be said of the runs of a suite without resolving them again.

    Args:
        name: name of the suite.
        run_ids: sha256 of each run's spec, in the order of the suite.
        labels: each run in short, for people.
    """

    name: str
    run_ids: tuple[str, ...]
    labels: tuple[str, ...]


def suite_index(name_or_path: str, sources: Sequence[Source] = (), plugins: Sequence[str] = ()) -> SuiteIndex:
    """Return the index of a suite, read from the cache if the suite and all that resolves it are unchanged.

    Args:
        name_or_path: a shipped suite or the path of a TOML file.
        sources: data sets whose place differs from what the suite says; with any, the suite is read anew.
        plugins: files that were loaded; with any, or with a plug-in that is installed, the suite is read anew.

    Raises:
        ConfigError: as :func:`~sambench.benchmarks.suites.suite.load_suite`.
    """
    name, text, _ = find_suite(name_or_path)
    if sources or plugins or entry_points(group=ENTRY_POINTS):
        return index_of(_load(name_or_path, sources))
    key = hashlib.sha256("\n".join([__version__, name, text, *_code()]).encode()).hexdigest()
    try:
        path = default_folder("suites", "SAMBENCH_CACHE") / f"suite-{key}.json"
        found = json.loads(read_bytes(path))
        return SuiteIndex(name, tuple(map(str, found["run_ids"])), tuple(map(str, found["labels"])))
    except (SambenchError, OSError, ValueError, KeyError, TypeError, RecursionError):
        index = index_of(_load(name_or_path, sources))
    try:
        path = default_folder("suites", "SAMBENCH_CACHE") / f"suite-{key}.json"
        make_folder(path.parent)
        atomic_write_bytes(path, json.dumps(asdict(index)).encode())
    except SambenchError:
        pass  # a cache that cannot be written costs time and nothing else
    return index


def index_of(suite: "Suite") -> SuiteIndex:
    """Return the index of a suite that is loaded."""
    return SuiteIndex(suite.name, suite.run_ids, suite.labels)


def _load(name_or_path: str, sources: Sequence[Source]) -> "Suite":
    from .suite import load_suite  # torch, for the step rules

    return load_suite(name_or_path, tuple(sources))


def _code() -> Iterator[str]:
    """Tell the state of the code that resolves a suite: name, size and time of change of every file."""
    files = [*PACKAGE.glob("*.py"), *(PACKAGE / "benchmarks").glob("*.py")]
    files += [path for folder in RESOLVES for path in (PACKAGE / folder).glob("*.py")]
    bases = importlib.util.find_spec("timm")
    files += [Path(bases.origin)] if bases and bases.origin else []
    for path in sorted(files):
        about = path.stat()
        yield f"{path} {about.st_size} {about.st_mtime_ns}"
