"""Data sets as folders of image files: DIR/train/CLASS/*.png and DIR/test/CLASS/*.png."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..errors import DataError
from .cache import cached
from .dataset import Dataset, build
from .decode import decode
from .registry import register_dataset

if TYPE_CHECKING:
    from torchvision.datasets import ImageFolder


@register_dataset(
    "imagefolder:DIR",
    "a folder with train/CLASS/ and test/CLASS/ full of image files of one size",
    augment="crop:4,flip,cutout:16",
)
def load_imagefolder(name: str, directory: Path, cache: Path) -> Dataset:
    """Read a folder of image files; the classes are the sorted names of the subfolders of ``train``.

    Raises:
        DataError: if a folder is missing or empty, the classes of the two parts differ, an image cannot be decoded,
            or the images are not all of one size.
    """
    train, test = _scan(directory / "train"), _scan(directory / "test")
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))
        raise DataError(f"{directory}: train and test must have the same class folders; only one has {', '.join(odd)}")
    files = [Path(path) for path, _ in (*train.samples, *test.samples)]
    return cached(name, directory, files, cache, lambda: _decode(directory, name, train, test))


def _scan(folder: Path) -> "ImageFolder":
    from torchvision.datasets import ImageFolder  # here, because the import takes a second

    try:
        return ImageFolder(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{folder} is not a folder of class folders with images in each: {error}") from error


def _decode(directory: Path, name: str, train: "ImageFolder", test: "ImageFolder") -> Dataset:
    # Decoded together, so that both parts are gray or both are colored.
    samples = [*train.samples, *test.samples]
    images = decode([Path(path) for path, _ in samples], [path for path, _ in samples], str(directory))
    labels = torch.tensor([label for _, label in samples])
    count = len(train.samples)
    return build(name, (images[:count], labels[:count]), (images[count:], labels[count:]), tuple(train.classes))
