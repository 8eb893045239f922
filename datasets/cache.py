"""A cache of decoded data sets on disk: decoding CIFAR takes seconds, reading the cache a fraction of one."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch

from ..errors import DataError
from .dataset import Dataset, fingerprint_of

# Part of every key; increased whenever a loader decodes the same files into something else.
LOADER_VERSION = 1

_log = logging.getLogger(__name__)
_TENSORS = ("train_images", "train_labels", "test_images", "test_labels")


def cached(name: str, base: Path, files: Iterable[Path], folder: Path, decode: Callable[[], Dataset]) -> Dataset:
    """Return the decoded data set of a source, from the cache if the same files were decoded before.

    The key of an entry is a hash of the names and the content of the source files. An entry is used only if its tensors
    have the fingerprint that was written with them; otherwise the source is decoded again and the entry replaced. If
    the folder cannot be written, a warning is logged once and the data is decoded in every run.

    Args:
        name: name of the returned data set; not part of the key.
        base: folder that the names of files in the key are relative to, so that moving it does not change the key.
        files: every file the decoded tensors depend on, in a fixed order.
        folder: folder of the cache; created if missing.
        decode: function that decodes the source; called only if there is no valid entry.
    """
    entry = folder / f"{_key(base, files)}.npz"
    found = _read(entry)
    if found is None:
        found = decode()
        _write(entry, found)
    return replace(found, name=name)


def _key(base: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256(f"sambench {LOADER_VERSION}\n".encode())
    for path in files:
        if not path.is_file():
            raise DataError(f"{path} is no file")  # a pipe would never end
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        digest.update(f"{content} {path.relative_to(base).as_posix()}\n".encode())
    return digest.hexdigest()


def _read(entry: Path) -> Dataset | None:
    """Return the entry, or ``None`` if there is none or it is damaged."""
    try:
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            tensors = {key: torch.from_numpy(arrays[key]) for key in _TENSORS}
        classes, mean, std = (tuple(about[key]) for key in ("classes", "mean", "std"))
        fingerprint = fingerprint_of(**tensors, classes=classes)
        if fingerprint != about["fingerprint"]:
            raise ValueError(f"its fingerprint is {fingerprint}, not {about['fingerprint']}")
        return Dataset(name="", **tensors, classes=classes, fingerprint=fingerprint, mean=mean, std=std)
    except FileNotFoundError:
        return None
    # Damage can surface as almost any exception of the zip and array readers, and the remedy is always the same.
    except Exception as error:
        _log.warning("the cached data set %s is damaged (%s); decoding it again", entry, error)
        return None


def _write(entry: Path, dataset: Dataset) -> None:
    about = {key: getattr(dataset, key) for key in ("classes", "fingerprint", "mean", "std")}
    arrays = {key: getattr(dataset, key).numpy() for key in _TENSORS}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    arriving = entry.with_name(f"{uuid4().hex}.tmp")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        try:
            with arriving.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            os.replace(arriving, entry)
        finally:
            arriving.unlink(missing_ok=True)
    except OSError as error:
        _warn_unwritable(str(entry.parent), str(error))


@cache
def _warn_unwritable(folder: str, reason: str) -> None:
    _log.warning(
        "decoded data cannot be cached in %s (%s), so every run decodes it anew; set SAMBENCH_CACHE to a folder "
        "that can be written",
        folder,
        reason,
    )
