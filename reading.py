"""Files from outside: read whole or refused; what is no regular file, or larger than it can be, is not read at all."""

import errno
import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .units import size

MOST = 32 * 2**20
"""Bytes of the largest record, manifest or lease that is read; the largest that was ever written has 2 MB."""
MOST_TEXT = 2**20
"""Bytes of the largest suite, profile or list that people write."""


def read_bytes(path: str | Path, most: int = MOST) -> bytes:
    """Read a whole file, without a file object, which would cost more than reading a small file.

    Args:
        path: path of the file; a pipe, a folder or a device is refused and not waited for.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be read, is no regular file or has more than ``most`` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a pipe would wait for a writer
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if about.st_size > most:
            raise OSError(errno.EFBIG, f"it has {size(about.st_size)}, and {size(most)} is the most")
        parts = [os.read(descriptor, about.st_size + 1)]
        while parts[-1] and sum(map(len, parts)) <= most:
            parts.append(os.read(descriptor, 2**20))  # a network file system gives less at a time, or it grows
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_text(path: str | Path) -> str:
    """Read a text that people write.

    Raises:
        OSError: as :func:`read_bytes`.
        ValueError: it is not UTF-8.
    """
    return read_bytes(path, MOST_TEXT).decode("utf-8")


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ValueError: it is not valid, nests too deep, or has a whole number of more than 64 bits.

    Example:
        >>> parse_toml("seeds = [0, 1]")
        {'seeds': [0, 1]}
    """
    try:
        content = tomllib.loads(text)
        for value in _plain(content):
            if isinstance(value, int) and abs(value) >= 2**63:
                raise ValueError(f"it has a whole number of {value.bit_length()} bits, and 64 are the most")
    except RecursionError:
        raise ValueError("it nests too deep") from None
    return content


def _plain(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _plain(part)
    else:
        yield value
