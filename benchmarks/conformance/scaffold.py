"""Start a new variant: a commented file that passes every check as it stands, and its transcription."""

import keyword
import re
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
    for path in paths.values():
        if path.exists():
            raise ConfigError(f"{path} exists already; choose another name or another folder")
    for kind, path in paths.items():
        template = (
            files(__package__ or "sambench.benchmarks.conformance")
            .joinpath(f"template_{kind}.txt")
            .read_text(encoding="utf-8")
        )
        text = Template(template).safe_substitute(name=name, title=title, cls=title)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"cannot write {path}: {error.strerror}; choose another folder with --folder DIR"
            ) from error
    return paths["variant"]
