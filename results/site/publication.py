"""A results folder packed for any static host, with the sha256 of every file, and read back from there checked."""

import hashlib
import http.client
import os
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal
from urllib.parse import quote

from pydantic import Field, ValidationError

from ...atomic import atomic_write_bytes, give_name, make_folder
from ...errors import ConfigError, StateError, explain
from ...reading import MOST
from ...version import __version__
from ..records.fields import Digest, Frozen, Name, Whole
from ..records.store import Store

MANIFEST = "manifest.json"
_MODELS = "models/"
_PUBLISHED = re.compile(
    r"""
    (?:verification/)? runs/ [0-9a-f]{64} (?:\.failed)? \.json
    | suites/ [\w=+-][\w.=+-]* \. (?:json|toml)
    | ledgers/ [\w=+-][\w.=+-]* \. parquet
    | measurements/ [0-9a-f]{64} / [0-9a-f]{64} \. json
    | models/ [0-9a-f]{64} (?:@\d+)? \. safetensors
    | retracted\.toml
    """,
    re.VERBOSE | re.ASCII,
)
"""Files of a results folder that are published, and the only ones that are read back: none lies elsewhere."""
_TIMEOUT_SECONDS = 60
_AT_ONCE = 8


class File(Frozen):
    """A file of a publication."""

    sha256: Digest
    size: Whole


class Manifest(Frozen):
    """All files of a publication but the manifest itself, by their path."""

    schema_version: Literal[1] = 1
    sambench: Name = Field(description="version that packed it")
    files: dict[Name, File]


def pack(results: Path, output: Path, models: bool = True) -> dict[str, int]:
    """Copy what a results folder holds to a folder for publication; files of an older publication there are removed.

    Args:
        results: the results folder.
        output: the folder, new, empty or an older publication.
        models: whether kept models go with it.

    Returns:
        The files there that belong to others, such as a host's own: path -> time of the last change, which :func:`seal`
        leaves out.

    Raises:
        ConfigError: the folder holds something else.
        StateError: there is nothing to publish, or the folder cannot be written.
    """
    if output.resolve().is_relative_to(results.resolve()):
        raise ConfigError(f"{output} lies in the results that are published; name a folder outside of them")
    if output.is_dir() and any(output.iterdir()):
        if not (output / MANIFEST).is_file():
            raise ConfigError(f"{output} holds something else than a publication; name a new folder, or empty it")
        for name in _read_manifest((output / MANIFEST).read_bytes(), str(output)).files:
            if _inside(output, name) and not name.startswith("."):  # none of ours does, and a repository's do
                (output / name).unlink(missing_ok=True)
    others = {name: (output / name).lstat().st_mtime_ns for name in _names(output)}
    names = [name for name in _names(results) if _PUBLISHED.fullmatch(name)]
    if not any(name.startswith("runs/") for name in names):
        raise StateError(f"there are no records in {results / 'runs'}; `sambench run` and `launch` write them there")
    for name in names:
        if models or not name.startswith(_MODELS):
            make_folder((output / name).parent)
            shutil.copyfile(results / name, output / name)
    return others


def seal(output: Path, others: Mapping[str, int]) -> Manifest:
    """Write the manifest of a folder, the last of its files, and return it.

    Args:
        output: the folder.
        others: files that are no part of the publication, from :func:`pack`; one that was written since then is.
    """
    files = {}
    for name in sorted(_names(output)):
        if name != MANIFEST and others.get(name) != (output / name).lstat().st_mtime_ns:
            with open(output / name, "rb") as file:
                files[name] = File(
                    sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=os.fstat(file.fileno()).st_size
                )
    manifest = Manifest(sambench=__version__, files=files)
    atomic_write_bytes(output / MANIFEST, manifest.model_dump_json(indent=1).encode() + b"\n")
    return manifest


@contextmanager
def fetched(source: str, into: Path) -> Iterator[Path]:
    """Fetch the data of a publication into a temporary folder; every file is as its manifest says, or none is given.

    Args:
        source: folder, or address with http:// or https://.
        into: results folder that the temporary one lies in, so that its files can be moved.

    Raises:
        StateError: there is no publication, or a file is not what its manifest says.
    """
    manifest = _read_manifest(_read(source, MANIFEST, MOST), source)
    names = [name for name in manifest.files if _PUBLISHED.fullmatch(name)]
    folder = Path(tempfile.mkdtemp(prefix=".pull-", dir=make_folder(into)))

    def fetch(name: str) -> None:
        make_folder((folder / name).parent)
        _copy(source, name, manifest.files[name], folder / name)

    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(fetch, names):
                pass
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def adopt(store: Store, folder: Path) -> tuple[int, int, list[str]]:
    """Add what has no rule for merging, manifests, ledgers, retractions and models; nothing that is there changes.

    Returns:
        The number of files that were added, the number that both have, and the names of those that differ.
    """
    added, same, differ = 0, 0, []
    for name in sorted(_names(folder)):
        if "runs/" in name or name.startswith("measurements/"):
            continue
        target = store.root / name
        make_folder(target.parent)
        if give_name(folder / name, target):
            added += 1
        elif _digest(folder / name) == _digest(target):
            same += 1
        else:
            differ.append(name)
    return added, same, differ


def _names(folder: Path) -> Iterator[str]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield (Path(where) / name).relative_to(folder).as_posix()


def _inside(folder: Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder.resolve())


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(data: bytes, source: str) -> Manifest:
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise StateError(f"{source}/{MANIFEST} is no manifest of a publication: {explain(error)[0]}") from error


@contextmanager
def _opened(source: str, name: str) -> Iterator[IO[bytes]]:
    try:
        if re.match("https?://", source):
            with urllib.request.urlopen(f"{source.rstrip('/')}/{quote(name)}", timeout=_TIMEOUT_SECONDS) as answer:
                yield answer
        else:
            with open(Path(source) / name, "rb") as file:
                yield file
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise StateError(
            f"cannot read {name} of the publication {source}: {error}. `sambench publish` makes it; nothing was changed"
        ) from error


def _read(source: str, name: str, most: int) -> bytes:
    with _opened(source, name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise StateError(f"{name} of the publication {source} has more than {most} bytes, and those are the most")
    return data


def _copy(source: str, name: str, expected: File, target: Path) -> None:
    digest, left = hashlib.sha256(), expected.size
    with _opened(source, name) as file, open(target, "wb") as copy:
        while left >= 0 and (block := file.read(2**20)):
            digest.update(block)
            copy.write(block)
            left -= len(block)
    if left or digest.hexdigest() != expected.sha256:
        raise StateError(f"{name} of the publication {source} is not what its manifest says; nothing was changed")
