"""Start a new variant: a commented file that passes every check as it stands, its transcription, and a package."""

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from ...errors import ConfigError
from ...variants import list_variants
from .checks.numpy_reference import TRANSCRIPTIONS


def new_variant(name: str, folder: Path) -> Path:
    """Write ``<name>.py`` and ``transcriptions/<name>.py`` into a folder, and return the path of the first.

    Raises:
        ConfigError: the name cannot be one, is taken, a file of that name exists, or the folder cannot be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"variant name {name!r} is not valid: small letters, digits and underscores, 100 at most, as in 'my_sam'"
        )
    if name in {info.name for info in list_variants()}:
        raise ConfigError(f"variant {name!r} exists already; choose another name (see `sambench list variants`)")
    title = "".join(word.capitalize() if word != "sam" else "SAM" for word in name.split("_"))
    paths = {"variant": folder / f"{name}.py", "transcription": folder / TRANSCRIPTIONS / f"{name}.py"}
    _write({path: f"template_{kind}.txt" for kind, path in paths.items()}, name=name, title=title, cls=title)
    return paths["variant"]


def new_package(name: str, folder: Path) -> Path:
    """Write a package with a variant in it: pyproject.toml with the entry point, and a test that holds it to the suite.

    Returns:
        The folder of the package.

    Raises:
        ConfigError: as :func:`new_variant`.
    """
    root = folder / name
    if root.exists():
        raise ConfigError(f"{root} exists already; choose another name or another folder")
    new_variant(name, root / name)
    parts = {"pyproject.toml": "pyproject", f"{name}/__init__.py": "package", f"tests/test_{name}.py": "test"}
    _write({root / path: f"template_{kind}.txt" for path, kind in parts.items()}, name=name)
    return root


def _write(paths: Mapping[Path, str], **words: str) -> None:
    """Write files from templates of this package; what is there stays."""
    for path in paths:
        if path.exists():
            raise ConfigError(f"{path} exists already; choose another name or another folder")
    for path, template in paths.items():
        text = files(__package__ or "sambench.benchmarks.conformance").joinpath(template).read_text(encoding="utf-8")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).safe_substitute(words), encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"cannot write {path}: {error.strerror}; choose another folder with --folder DIR"
            ) from error
