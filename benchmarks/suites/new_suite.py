"""A suite to start from, as a commented file."""

import re
import shlex
from importlib.resources import files
from pathlib import Path
from string import Template

from ...atomic import atomic_write_bytes, make_folder
from ...errors import ConfigError
from .files import SUITES


def new_suite(name: str, folder: Path) -> Path:
    """Write a commented suite that runs as it stands, and return its path.

    Raises:
        ConfigError: the name cannot be one, or is taken, or the folder cannot be written.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", name):
        raise ConfigError(f"suite name {name!r:.80} is not valid: small letters, digits, '.', '_' and '-'")
    if name in SUITES.names():
        raise ConfigError(f"suite {name!r} ships with sambench; choose another name (see `sambench list suites`)")
    path = folder / f"{name}.toml"
    template = files(__name__.rpartition(".")[0]).joinpath("template_suite.txt").read_text(encoding="utf-8")
    text = Template(template).safe_substitute(file=shlex.quote(str(path)))
    if not atomic_write_bytes(make_folder(folder) / path.name, text.encode(), overwrite=False):
        raise ConfigError(f"{path} exists already; choose another name or another folder")
    return path
