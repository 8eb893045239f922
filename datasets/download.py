"""Official archives: found in a folder, or downloaded into it once, and never read unless their md5 is right."""

import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from uuid import uuid4

import torch

from ..errors import DataError

# Of a single connect or read, not of the download: a dead network ends the attempt, a slow one does not.
_TIMEOUT_SECONDS = 30.0


def fetch(url: str, archive: Path, md5: str, otherwise: str = "") -> Path:
    """Return ``archive`` if it is there and intact; download it if it is not there.

    There is one attempt. A download becomes visible under its name only after its md5 was found right.

    Args:
        url: where the official file is.
        archive: where it belongs on this machine.
        md5: its official checksum, 32 hex digits.
        otherwise: another way to get it, for the error message.

    Raises:
        DataError: if the file on disk is not the official one, or it is missing and cannot be downloaded. The
            message says which file with which md5 belongs in which folder.
    """
    if archive.is_file():
        if (found := _md5(archive)) != md5:
            raise DataError(
                f"{archive} is damaged or not the official file: it has {archive.stat().st_size:,} bytes and md5 "
                f"{found}, expected md5 {md5}. Delete it and run again to download it, or put an intact copy there"
            )
        return archive
    arriving = archive.with_name(f"{archive.name}.{uuid4().hex}.tmp")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with _time_limit():
            torch.hub.download_url_to_file(url, str(arriving), progress=sys.stderr.isatty())
        if (found := _md5(arriving)) != md5:
            raise OSError(f"{arriving.stat().st_size:,} bytes with md5 {found} came")
        os.replace(arriving, archive)
    except (OSError, HTTPException) as error:
        raise DataError(
            f"{archive.name} is not in {archive.parent} and could not be downloaded from {url} ({error}). "
            f"Put the file {archive.name} (md5 {md5}) into {archive.parent}, "
            f"or set SAMBENCH_DATA to the folder where the data sets are{otherwise}"
        ) from error
    finally:
        with suppress(OSError):
            arriving.unlink()
    return archive


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _time_limit() -> Iterator[None]:
    """Give every socket that is opened inside a time limit; torch's downloader sets none of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
