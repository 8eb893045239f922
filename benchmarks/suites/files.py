"""Where suites are: those that ship with sambench, and TOML files."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from ...errors import ConfigError, unknown
from ...reading import read_text
from .. import suites


def list_suites() -> list[str]:
    """Names of the suites that ship with sambench."""
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def find_suite(name_or_path: str) -> tuple[str, str, Path]:
    """Return name and text of a suite, and the folder that its places are relative to.

    Raises:
        ConfigError: an unknown suite, or a file that is missing or no text.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.exists():
            raise ConfigError(f"suite {name_or_path!r} does not exist; give a TOML file or one of: {_names()}")
        if not path.stem.isprintable():
            raise ConfigError(f"suite {name_or_path!r} has a name with control characters, or none in UTF-8; rename it")
        try:
            return path.stem, read_text(path), path.resolve().parent
        except (OSError, ValueError) as error:
            raise ConfigError(f"suite {name_or_path!r} cannot be read: {error}; a suite is TOML in UTF-8") from error
    if name_or_path not in list_suites():
        raise unknown("suite", name_or_path, list_suites())
    return name_or_path, (_folder() / f"{name_or_path}.toml").read_text(), Path.cwd()


def _folder() -> Any:
    return files(suites)


def _names() -> str:
    return ", ".join(list_suites())
