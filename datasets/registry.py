"""Loads data sets by the name of their source."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..atomic import default_folder
from ..errors import ConfigError, unknown
from . import cifar, digits, fashion_mnist, imagefolder, parquet
from .dataset import Dataset, DatasetInfo

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class _Source:
    """A source and its loader, which takes a name, the folder to read and the folder of the cache."""

    info: DatasetInfo
    load: Callable[[str, Path, Path], Dataset]


_NAMED = {
    source.info.name: source
    for source in (
        _Source(digits.INFO, lambda name, root, cache: digits.load_digits(name)),
        _Source(cifar.CIFAR10, partial(cifar.load_cifar, "CIFAR10")),
        _Source(cifar.CIFAR100, partial(cifar.load_cifar, "CIFAR100")),
        _Source(fashion_mnist.INFO, fashion_mnist.load_fashion_mnist),
    )
}
_FOLDERS = {
    source.info.name.partition(":")[0]: source
    for source in (
        _Source(parquet.INFO, parquet.load_parquet),
        _Source(imagefolder.INFO, imagefolder.load_imagefolder),
    )
}


def list_datasets() -> list[DatasetInfo]:
    """Return the description of every source that :func:`load` reads."""
    return [source.info for source in (*_NAMED.values(), *_FOLDERS.values())]


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
    folder = Path(root).expanduser() if root is not None else default_folder("data", "SAMBENCH_DATA")
    decoded = Path(cache).expanduser() if cache is not None else default_folder("decoded", "SAMBENCH_CACHE")
    if name is not None and not _NAME.fullmatch(name):
        raise ConfigError(f"data set name {name!r} must be lower-case letters, digits, '.', '_' and '-'")
    if source in _NAMED:
        return _NAMED[source].load(name or source, folder, decoded)
    kind, separator, path = source.partition(":")
    if kind not in _FOLDERS or not separator:
        raise unknown("data set", source, [info.name for info in list_datasets()])
    if not path:
        raise ConfigError(f"data set {source!r} names no folder; write {kind}:DIR")
    if name in _NAMED:
        raise ConfigError(
            f"data set name {name!r} is reserved for the official files; give data from a folder "
            f"another name, e.g. {name}-{kind}"
        )
    directory = Path(path).expanduser()
    return _FOLDERS[kind].load(name or _default_name(directory, kind), directory, decoded)


def _default_name(directory: Path, kind: str) -> str:
    base = re.sub(r"[^a-z0-9._-]+", "-", directory.resolve().name.lower()).strip("._-") or kind
    return f"{base}-{kind}" if base in _NAMED else base
