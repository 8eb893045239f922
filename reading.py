"""Files from outside: read whole or refused; what is no regular file, or larger than it can be, is not read at all."""

import errno
import os
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from .errors import ConfigError, unknown
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


@dataclass(frozen=True)
class TomlFiles:
    """TOML files of one kind: those that ship with a package, found by name, and those that people write, by path.

    Args:
        kind: what one of them is called in messages.
        package: the package that the shipped ones lie in.
    """

    kind: str
    package: str

    def names(self) -> list[str]:
        """List the names of the shipped ones."""
        entries = [entry.name for entry in files(self.package).iterdir()]
        return sorted(name.removesuffix(".toml") for name in entries if name.endswith(".toml"))

    def read(self, name_or_path: str) -> tuple[str, str, Path]:
        """Return name and text of one, and the folder that places in it are relative to.

        Raises:
            ConfigError: an unknown name, or a file that is missing or no text.
        """
        path = Path(name_or_path)
        if path.suffix != ".toml":
            if name_or_path not in self.names():
                raise unknown(self.kind, name_or_path, self.names())
            return name_or_path, files(self.package).joinpath(f"{name_or_path}.toml").read_text(), Path.cwd()
        what = f"{self.kind} {name_or_path!r}"
        if not path.exists():
            raise ConfigError(f"{what} does not exist; give a TOML file or one of: {', '.join(self.names())}")
        if not path.stem.isprintable():
            raise ConfigError(f"{what} has a name with control characters, or none in UTF-8; rename it")
        try:
            return path.stem, read_text(path), path.resolve().parent
        except (OSError, ValueError) as error:
            raise ConfigError(f"{what} cannot be read: {error}; a {self.kind} is TOML in UTF-8") from error

    def parse(self, name_or_path: str) -> tuple[str, dict[str, Any], Path]:
        """Return name, content and folder of one.

        Raises:
            ConfigError: as :meth:`read`, or it is not valid TOML.
        """
        name, text, folder = self.read(name_or_path)
        try:
            return name, parse_toml(text), folder
        except ValueError as error:
            raise ConfigError(f"{self.kind} {name_or_path!r} is not valid TOML: {error}") from error
