"""The registry of data sources: from a name to a data set in memory."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..atomic import default_folder, user_folder
from ..errors import ConfigError, DataError
from ..registry import Registry, has_parameters, is_built_in
from .dataset import Dataset, DatasetInfo

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")

DATASETS: Registry[DatasetInfo] = Registry("data set", __name__.rpartition(".")[0])

Function = TypeVar("Function", bound=Callable[..., Dataset])


def register_dataset(name: str, summary: str, *, augment: str, **known: Any) -> Callable[[Function], Function]:
    """Register the loader below, ``(name, folder, cache) -> data set``; see :class:`DatasetInfo` for the arguments.

    A loader of a format is registered as ``NAME:DIR``; a number in it, ``NAME{size}:DIR``, is a further argument, as
    text.

    Raises:
        ConfigError: the name is taken or invalid.
    """

    def add(function: Function) -> Function:
        DATASETS.add(name, DatasetInfo(name, summary, function, augment, **known))
        return function

    return add


def list_datasets(pattern: str = "*") -> list[DatasetInfo]:
    """Return the sources whose names match a shell pattern, in alphabetical order."""
    return DATASETS.all(pattern)


def load(
    source: str,
    *,
    name: str | None = None,
    root: str | Path | None = None,
    cache: str | Path | None = None,
) -> Dataset:
    """Load a data set into memory.

    Args:
        source: a name of :func:`list_datasets`, or ``parquet:DIR`` or ``imagefolder:DIR`` with a folder.
        name: name in specs and records: lower-case letters, digits, ``.``, ``_`` and ``-``. Default: the
            source, or the name of the folder; a folder with the name of an official data set gets its format appended
            (``cifar10-parquet``), because its pixels need not be the official ones.
        root: folder of the archives. Default: ``$SAMBENCH_DATA``, else ``sambench/data`` in the user's cache folder.
        cache: folder of decoded tensors. Default: ``$SAMBENCH_CACHE``, else ``sambench/decoded`` in the user's
            cache folder.

    Raises:
        ConfigError: for an unknown source or an invalid name.
        DataError: if the data is missing, damaged or not in the expected layout.

    Example:
        >>> load("digits").train_images.shape
        torch.Size([1438, 1, 8, 8])
    """
    folder = user_folder(root) if root is not None else default_folder("data", "SAMBENCH_DATA")
    decoded = user_folder(cache) if cache is not None else default_folder("decoded", "SAMBENCH_CACHE")
    if name is not None:
        check_name(name, source)
    info, parameters = DATASETS.resolve(source)
    if not parameters:
        return info.check(info.function(name or source, folder, decoded))
    kind, (*numbers, place) = source.partition(":")[0], parameters
    if not place:
        raise ConfigError(f"data set {source!r} names no folder; write {kind}:DIR")
    directory = user_folder(place)
    try:
        directory.stat()
    except (OSError, ValueError) as error:  # a ValueError is a NUL character
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"nothing is read from {place!r:.200}: the folder does not exist ({reason})") from error
    return info.function(name or _default_name(directory, kind), directory, decoded, *numbers)


def check_name(name: str, source: str) -> None:
    """Check the name that data have in specs and records against where they come from.

    Args:
        name: the name, as in ``NAME=SOURCE``.
        source: first argument of :func:`load`.

    Raises:
        ConfigError: the name is invalid, or it belongs to another source: runs on other data would pass for its own.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"data set name {name!r:.80} must be lower-case letters, digits, '.', '_' and '-'")
    if name in DATASETS and name != source:
        kind = source.partition(":")[0]
        raise ConfigError(
            f"data set name {name!r} is reserved for the official files; give data from {source!r:.200} another name, "
            f"e.g. {name}-{kind}"
        )


def official_fingerprints() -> dict[str, str | None]:
    """Return the reserved names with the fingerprint of its data, None where it is not known here."""
    named = [info for info in list_datasets() if not has_parameters(info.name)]
    return {info.name: info.fingerprint for info in named if info.fingerprint or is_built_in(info)}


def _default_name(directory: Path, kind: str) -> str:
    base = re.sub(r"[^a-z0-9._-]+", "-", directory.resolve().name.lower()).strip("._-") or kind
    return f"{base}-{kind}" if base in DATASETS else base
