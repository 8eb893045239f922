"""What the code of this package says, kept in the user's cache: a command that needs no more starts without torch."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from ...atomic import atomic_write_bytes, default_folder, make_folder
from ...errors import SambenchError
from ...reading import read_bytes
from ...registry import ADDED, ENTRY_POINTS
from ...version import __version__

Value = TypeVar("Value")

PACKAGE = Path(__file__).resolve().parents[2]
DECIDES = ("variants", "datasets", "benchmarks", "benchmarks/models", "benchmarks/suites", "benchmarks/training")
"""Folders of the package whose code decides; and the files at its top."""


def from_cache(kind: str, about: str, make: Callable[[], Any], read: Callable[[Any], Value]) -> Value:
    """Return what a function makes of the package's code: from the cache, if it was made by this code before.

    With a plug-in that was loaded or is installed, it is made anew.

    Args:
        kind: what it is, a part of the name of a file.
        about: what else it depends on.
        make: makes it, of what JSON has.
        read: returns the value of what was made; where it fails on a file, that is made anew.
    """
    if ADDED or entry_points(group=ENTRY_POINTS):
        return read(make())
    key = hashlib.sha256("\n".join([__version__, about, *_code()]).encode()).hexdigest()
    with suppress(SambenchError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return read(json.loads(read_bytes(_path(kind, key))))
    made = make()
    with suppress(SambenchError):  # a cache that cannot be written costs time and nothing else
        make_folder(_path(kind, key).parent)
        atomic_write_bytes(_path(kind, key), json.dumps(made).encode())
    return read(made)


def _path(kind: str, key: str) -> Path:
    return default_folder("suites", "SAMBENCH_CACHE") / f"{kind}-{key}.json"


def _code() -> Iterator[str]:
    """Tell the state of the code: name, size and time of change of every file."""
    files = [*PACKAGE.glob("*.py"), PACKAGE / "results" / "behaviour.json"]
    files += [path for folder in DECIDES for path in (PACKAGE / folder).glob("*.py")]
    bases = importlib.util.find_spec("timm")
    files += [Path(bases.origin)] if bases and bases.origin else []
    for path in sorted(files):
        about = path.stat()
        yield f"{path} {about.st_size} {about.st_mtime_ns}"
