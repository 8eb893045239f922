"""Tiny ImageNet from its official archive, which is read and never unpacked."""

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import torch

from ..errors import DataError
from .cache import cached
from .dataset import Dataset, build
from .decode import decode
from .download import fetch
from .registry import DATASETS, register_dataset

ARCHIVE, MD5 = "tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"
URL = f"http://cs231n.stanford.edu/{ARCHIVE}"
FOLDER = "tiny-imagenet-200"
MOST_BYTES = 2**20
"""Bytes of the largest member that is read: images have some thousand, the list of the validation part has 400,000."""

Encoded = tuple[list[bytes], list[str], list[str]]
"""Images as they are encoded, their names, and the class of each."""


@register_dataset(
    "tiny_imagenet",
    "110,000 photographs of 200 classes of ImageNet at 64x64 pixels, the official archive",
    augment="crop:8,flip",
    shape=(3, 64, 64),
    classes=200,
    train=100_000,
    test=10_000,
)
def load_tiny_imagenet(name: str, root: Path, cache: Path) -> Dataset:
    """Read the archive in ``root``, or download it.

    Its validation part is the test part here, as in the literature: the labels of its test part were never published.
    Classes are WordNet ids in alphabetical order.

    Raises:
        DataError: if the archive is missing and cannot be downloaded, is damaged, or holds something else.

    References:
        Le and Yang, "Tiny ImageNet Visual Recognition Challenge", CS 231N, Stanford 2015.
    """
    archive = fetch(URL, root / ARCHIVE, MD5)
    return cached(name, root, [archive], cache, lambda: _decode(name, archive))


def _decode(name: str, archive: Path) -> Dataset:
    try:
        with zipfile.ZipFile(archive) as file:
            classes = tuple(sorted(_text(file, "wnids.txt").split()))
            train, test = _training(file), _validation(file)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, NotImplementedError) as error:
        raise DataError(f"{archive} does not hold the official data ({error}); delete it and run again") from error
    if odd := sorted({*train[2], *test[2]} - {*classes}):
        raise DataError(f"{archive}: class {odd[0]!r:.40} is not in wnids.txt; delete it and run again")
    images = decode(train[0] + test[0], train[1] + test[1], str(archive))
    number = {one: index for index, one in enumerate(classes)}
    labels, rest = (torch.tensor([number[one] for one in part[2]]) for part in (train, test))
    parts = (images[: len(labels)], labels), (images[len(labels) :], rest)
    return DATASETS.get("tiny_imagenet").check(build(name, *parts, classes))


def _training(file: zipfile.ZipFile) -> Encoded:
    """Read train/CLASS/images/*.JPEG, in the order of their names."""
    places = [(one, PurePosixPath(one.filename).parts) for one in file.infolist() if one.filename.endswith(".JPEG")]
    found = [(one, parts[2]) for one, parts in places if parts[:2] == (FOLDER, "train") and parts[3:4] == ("images",)]
    return _images(file, sorted(found, key=lambda each: each[0].filename))


def _validation(file: zipfile.ZipFile) -> Encoded:
    """Read val/images in the order of its list, which has file, class and a box in each line."""
    lines = [line.split("\t") for line in _text(file, "val/val_annotations.txt").splitlines()]
    return _images(file, [(file.getinfo(f"{FOLDER}/val/images/{line[0]}"), line[1]) for line in lines if line[1:]])


def _images(file: zipfile.ZipFile, members: Iterable[tuple[zipfile.ZipInfo, str]]) -> Encoded:
    read = [(_content(file, one), one.filename, label) for one, label in members]
    return [one for one, _, _ in read], [name for _, name, _ in read], [label for _, _, label in read]


def _text(file: zipfile.ZipFile, name: str) -> str:
    return _content(file, file.getinfo(f"{FOLDER}/{name}")).decode("ascii")


def _content(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MOST_BYTES:
        raise ValueError(f"{member.filename!r:.80} has {member.file_size:,} bytes, and {MOST_BYTES:,} are the most")
    return file.read(member)
