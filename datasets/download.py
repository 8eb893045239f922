"""Official archives: taken from a folder or downloaded into it once, and used only if their md5 is right."""

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

# For a single connect or read, not for the download: a dead network ends the attempt, a slow one does not.
_TIMEOUT_SECONDS = 30.0


def fetch(url: str, archive: Path, md5: str, otherwise: str = "") -> Path:
    """Return ``archive`` if it is there and intact; download it if it is not there.

    There is one attempt. A download gets its name only after its md5 was checked.

    Args:
        url: address of the official file.
        archive: path of the file on this machine.
        md5: its official checksum, 32 hex digits.
        otherwise: end of the error message, with another way to get the file.

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
            raise OSError(f"received {arriving.stat().st_size:,} bytes with md5 {found}")
        os.replace(arriving, archive)
    except (OSError, HTTPException) as error:
        raise DataError(
            f"{archive.name} is not in {archive.parent} and could not be downloaded from {url} ({error}). "
            f"Put the file {archive.name} (md5 {md5}) into {archive.parent}, "
            f"or set SAMBENCH_DATA to the folder of the data sets{otherwise}"
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
    """Set a timeout for all sockets opened inside; torch's downloader sets none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
