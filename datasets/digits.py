"""The 8x8 handwritten digits of scikit-learn: real data without a download."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from .dataset import Dataset, build
from .registry import register_dataset
from .splits import ranked


def _file() -> Path:
    """Return the table in scikit-learn's folder; to import it takes longer than a small run."""
    found = find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        if (file := Path(folder, "datasets", "data", "digits.csv.gz")).is_file():
            return file
    raise DataError("the digits of scikit-learn are not there: install it, pip install 'scikit-learn>=1.5'")


@cache
def _decoded(file: Path) -> tuple[Tensor, Tensor]:
    """Return images uint8 (1797, 1, 8, 8) and labels int64 (1797,), read once a process."""
    table = np.loadtxt(file, delimiter=",")
    pixels = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8)
    return torch.from_numpy(pixels).view(-1, 1, 8, 8), torch.from_numpy(table[:, -1].astype(np.int64))


@register_dataset(
    "digits",
    "UCI handwritten digits, embedded in scikit-learn; trains in seconds",
    augment="crop:1",
    shape=(1, 8, 8),
    classes=10,
    train=1438,
    test=359,
    balanced=False,
    fingerprint="8c537d9bcddd0312b02104a6a81033b770ba9ca8734f472ea4546f43251f486c",
)
def load_digits(name: str, folder: Path, cache: Path) -> Dataset:
    """Return the 1,797 digits; a fixed fifth of them (:func:`~sambench.datasets.splits.ranked`) is the test set.

    The source has 17 gray levels, 0 to 16; they are spread over 0 to 255.

    References:
        E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """
    images, labels = _decoded(_file())
    order = ranked(len(images))
    test, train = order[: len(images) // 5].sort().values, order[len(images) // 5 :].sort().values
    classes = tuple(str(digit) for digit in range(10))
    return build(name, (images[train], labels[train]), (images[test], labels[test]), classes)
