"""Data sets as folders of image files: DIR/train/CLASS/*.png and DIR/test/CLASS/*.png, or val/CLASS as in ImageNet."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from ..errors import DataError
from .cache import cached
from .dataset import Dataset, build
from .decode import decode
from .registry import register_dataset

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")

Classes = dict[str, list[Path]]
"""Name of each class, in alphabetical order -> its files, in a fixed order."""


@register_dataset(
    "imagefolder:DIR",
    "a folder with train/CLASS/ and test/CLASS/ (or val/CLASS/) full of image files of one size",
    augment="crop:4,flip,cutout:16",
)
def load_imagefolder(name: str, directory: Path, cache: Path) -> Dataset:
    """Read a folder of image files; the classes are the sorted names of the subfolders of ``train``.

    Where there is no ``test``, ``val`` is the test part, as in the layout of ImageNet. Hidden files and folders, and
    files that are no images, are left out. Subfolders of a class belong to it.

    Raises:
        DataError: if a folder is missing or empty, the classes of the two parts differ, there is a link, an image
            cannot be decoded, or the images are not all of one size.
    """
    return _load(name, directory, cache, None)


@register_dataset(
    "imagefolder{size}:DIR",
    "the same of images of any size, whose central squares are brought to so many pixels, as in imagefolder64:DIR",
    augment="crop:8,flip",
)
def load_resized(name: str, directory: Path, cache: Path, size: str) -> Dataset:
    """Read a folder of image files, as ``imagefolder:DIR``, and bring the central square of each to one size.

    Pixels are means over what they cover. All images are held in memory: ImageNet takes 16 GB at 64 pixels
    (docs/imagenet.md).

    Raises:
        DataError: as ``imagefolder:DIR``, sizes aside, or the images do not fit into memory.
    """
    if len(size) > 4:
        raise DataError(f"imagefolder{size:.20}: images of so many pixels fit into no memory; write imagefolder64, say")
    return _load(name, directory, cache, int(size))


def _load(name: str, directory: Path, cache: Path, side: int | None) -> Dataset:
    last = "test" if (directory / "test").exists() or not (directory / "val").exists() else "val"
    if (directory / "train").resolve() == (directory / last).resolve():
        raise DataError(f"{directory}: train and {last} are one folder, so that training would see the test set")
    train, test = _classes(directory / "train"), _classes(directory / last)
    if train.keys() != test.keys():
        odd = sorted(train.keys() ^ test.keys())
        raise DataError(
            f"{directory}: train and {last} must have the same class folders; only one has {', '.join(odd)}"
        )
    files = [path for part in (train, test) for paths in part.values() for path in paths]
    folder = cache if side is None else cache / f"side-{side}"
    return cached(name, directory, files, folder, lambda: _decode(directory, name, train, test, files, side))


def _classes(folder: Path) -> Classes:
    try:
        found = {path.name: sorted(_images(path), key=_place) for path in sorted(_visible(folder)) if path.is_dir()}
    except OSError as error:
        raise DataError(f"{folder} is not a folder of class folders with images in each: {error}") from error
    if not found:
        raise DataError(f"{folder} is not a folder of class folders with images in each: there is none")
    for name, files in found.items():
        if not name.isprintable():
            raise DataError(f"{folder} has a class folder {name!r}, whose name is no printable UTF-8; rename it")
        if not files:
            raise DataError(f"{folder / name} has no images ({', '.join(_SUFFIXES)})")
    return found


def _place(path: Path) -> tuple[str, str]:
    """Return the key of the order of files: by folder, then by name."""
    return str(path.parent), path.name


def _images(folder: Path) -> Iterator[Path]:
    from PIL import Image

    folders = [folder]
    while folders:
        for path in _visible(folders.pop()):
            if path.is_dir():
                folders.append(path)
            elif path.suffix.lower() in _SUFFIXES and path.is_file():
                yield path
            elif path.suffix.lower() in Image.registered_extensions():
                raise DataError(f"{path}: images are files that end in {', '.join(_SUFFIXES)}; convert it")


def _visible(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder and not hidden. A link could bring in an image twice, under two labels, or go round."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                raise DataError(f"{entry.path!r} is a link, which may show an image twice; put a copy there")
            yield Path(entry.path)


def _decode(directory: Path, name: str, train: Classes, test: Classes, files: list[Path], side: int | None) -> Dataset:
    # Decoded together, so that both parts are gray or both are colored.
    images = decode(files, list(map(str, files)), str(directory), side)
    labels, rest = (
        torch.tensor([label for label, paths in enumerate(part.values()) for _ in paths]) for part in (train, test)
    )
    return build(name, (images[: len(labels)], labels), (images[len(labels) :], rest), tuple(train))
