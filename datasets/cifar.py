"""CIFAR-10 and CIFAR-100 from their official archives, through torchvision."""

import tarfile
import tempfile
import zlib
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ..errors import DataError
from .cache import cached
from .dataset import Dataset, build
from .download import fetch
from .registry import DATASETS, register_dataset

if TYPE_CHECKING:
    from torchvision import datasets


def load_cifar(official: Literal["CIFAR10", "CIFAR100"], name: str, root: Path, cache: Path) -> Dataset:
    """Read the archive in ``root``, or the folder it unpacks to; download the archive if neither is there.

    Args:
        official: name of the class of ``torchvision.datasets`` with address, checksums and format of the archive.
        name: name of the data set in specs and records.
        root: folder of the archive.
        cache: folder of the decoded tensors.

    Raises:
        DataError: if the archive is missing and cannot be downloaded, or is damaged.

    References:
        A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    from torchvision import datasets  # here, because the import takes a second

    kind: type[datasets.CIFAR10] = getattr(datasets, official)
    filenames = [name for name, _ in (*kind.train_list, *kind.test_list)] + [kind.meta["filename"]]
    unpacked = [root / kind.base_folder / filename for filename in filenames]
    archive = root / kind.filename
    if not archive.is_file() and all(path.is_file() for path in unpacked):
        return cached(name, root, unpacked, cache, partial(_read, kind, name, root))
    if not archive.is_file():
        fetch(kind.url, archive, kind.tgz_md5)
    return cached(name, root, [archive], cache, partial(_unpack, kind, name, archive))


_OFFICIAL: tuple[tuple[Literal["CIFAR10", "CIFAR100"], int, str, str | None], ...] = (
    ("CIFAR10", 10, "10 classes", "19c3f05c0c44f5fb846ff1394c20300df3b2e2172d8945adb0e9e5a365eca273"),
    ("CIFAR100", 100, "100 classes in 20 superclasses", None),  # torchvision's checksums of the files hold it
)
for _name, _classes, _what, _fingerprint in _OFFICIAL:
    register_dataset(
        _name.lower(),
        f"60,000 photographs of {_what}, the official archive",
        augment="crop:4,flip,cutout:16",
        shape=(3, 32, 32),
        classes=_classes,
        train=50_000,
        test=10_000,
        fingerprint=_fingerprint,
    )(partial(load_cifar, _name))


_FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python 3.11 before 3.11.4 has no filters; members are checked before anything is unpacked, there as elsewhere."""


def _unpack(kind: "type[datasets.CIFAR10]", name: str, archive: Path) -> Dataset:
    """Read an archive through a temporary folder: ``root`` may be read-only or shared by several processes."""
    fetch(kind.url, archive, kind.tgz_md5)
    with tempfile.TemporaryDirectory(prefix="sambench-") as folder:
        try:
            with tarfile.open(archive) as file:
                _check_members(file, kind.base_folder)
                file.extractall(folder, **_FILTER)
        except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise DataError(
                f"{archive} cannot be unpacked ({error}); delete it and run again to download it"
            ) from error
        return _read(kind, name, Path(folder))


def _check_members(file: tarfile.TarFile, folder: str) -> None:
    """Refuse an archive that holds anything but plain files and folders below its one folder, before one is written."""
    for member in file:
        parts = PurePosixPath(member.name).parts
        if not (member.isfile() or member.isdir()) or ".." in parts or parts[:1] != (folder,):
            raise tarfile.TarError(f"{member.name!r:.100} is no plain file in {folder}")


def _read(kind: "type[datasets.CIFAR10]", name: str, root: Path) -> Dataset:
    try:
        train, test = kind(root, train=True), kind(root, train=False)
        parts = _tensors(train), _tensors(test)
    except Exception as error:  # torchvision unpickles and reshapes what has the right checksum
        raise DataError(
            f"{root / kind.base_folder} does not hold the official files (torchvision: {error}). Delete that folder "
            f"and put {kind.filename} (md5 {kind.tgz_md5}) into {root}, or run again to download it"
        ) from error
    return DATASETS.get(kind.__name__.lower()).check(build(name, *parts, tuple(train.classes)))


def _tensors(part: "datasets.CIFAR10") -> tuple[Tensor, Tensor]:
    return torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)
