"""The run ids and labels of a suite, from a cache: ``status`` and ``cancel`` need no more and start without torch."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path

from ...atomic import atomic_write_bytes, default_folder, make_folder
from ...datasets.source import Source
from ...errors import SambenchError
from ...reading import read_bytes
from ...registry import ENTRY_POINTS
from ...version import __version__
from .files import SUITES

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
        plugins: files that were loaded; with any, of the suite too, or with one that is installed, it is read anew.

    Raises:
        ConfigError: as :func:`~sambench.benchmarks.suites.suite.load_suite`.
    """
    name, text, _ = SUITES.read(name_or_path)
    if sources or plugins or "plugins" in text or entry_points(group=ENTRY_POINTS):
        return _read(name_or_path, sources)
    key = hashlib.sha256("\n".join([__version__, name, text, *_code()]).encode()).hexdigest()
    with suppress(SambenchError, OSError, ValueError, KeyError, TypeError, RecursionError):
        found = json.loads(read_bytes(_cached(key)))
        return SuiteIndex(name, tuple(map(str, found["run_ids"])), tuple(map(str, found["labels"])))
    index = _read(name_or_path, sources)
    with suppress(SambenchError):  # a cache that cannot be written costs time and nothing else
        make_folder(_cached(key).parent)
        atomic_write_bytes(_cached(key), json.dumps(asdict(index)).encode())
    return index


def _cached(key: str) -> Path:
    return default_folder("suites", "SAMBENCH_CACHE") / f"suite-{key}.json"


def _read(name_or_path: str, sources: Sequence[Source]) -> SuiteIndex:
    from .suite import load_suite  # torch, for the step rules

    suite = load_suite(name_or_path, tuple(sources))
    return SuiteIndex(suite.name, suite.run_ids, suite.labels)


def _code() -> Iterator[str]:
    """Tell the state of the code that resolves a suite: name, size and time of change of every file."""
    files = [*PACKAGE.glob("*.py"), *(PACKAGE / "benchmarks").glob("*.py")]
    files += [path for folder in RESOLVES for path in (PACKAGE / folder).glob("*.py")]
    bases = importlib.util.find_spec("timm")
    files += [Path(bases.origin)] if bases and bases.origin else []
    for path in sorted(files):
        about = path.stat()
        yield f"{path} {about.st_size} {about.st_mtime_ns}"
