"""The 8x8 handwritten digits of scikit-learn: real data without a download."""

from pathlib import Path

import numpy as np
import torch

from .dataset import Dataset, build
from .registry import register_dataset
from .splits import ranked


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
    # Imported here, because it takes a second that other data sets need not pay.
    from sklearn.datasets import load_digits as read

    levels, digits = read(return_X_y=True)
    pixels = np.rint(levels * (255 / 16)).astype(np.uint8)
    images = torch.from_numpy(pixels).view(-1, 1, 8, 8)
    labels = torch.from_numpy(digits.astype(np.int64))
    order = ranked(len(images))
    test, train = order[: len(images) // 5].sort().values, order[len(images) // 5 :].sort().values
    classes = tuple(str(digit) for digit in range(10))
    return build(name, (images[train], labels[train]), (images[test], labels[test]), classes)
