"""Street View House Numbers from its official files, at torchvision's addresses and checksums."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from .cache import cached
from .dataset import Dataset, build
from .download import fetch
from .registry import DATASETS, register_dataset


@register_dataset(
    "svhn",
    "99,289 photographs of house numbers, cropped to a digit each, the official files",
    augment="crop:4",
    shape=(3, 32, 32),
    classes=10,
    train=73_257,
    test=26_032,
    balanced=False,
)
def load_svhn(name: str, root: Path, cache: Path) -> Dataset:
    """Read ``train_32x32.mat`` and ``test_32x32.mat``, or download them. The part "extra" is not used.

    Raises:
        DataError: if a file is missing and cannot be downloaded, is damaged, or holds something else.

    References:
        Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", NIPS workshop 2011.
    """
    from torchvision.datasets import SVHN  # here, because the import takes a second

    parts = [SVHN.split_list[part] for part in ("train", "test")]
    files = [fetch(url, root / filename, md5) for url, filename, md5 in parts]
    return cached(name, root, files, cache, lambda: _decode(name, files))


def _decode(name: str, files: list[Path]) -> Dataset:
    train, test = map(_read, files)
    return DATASETS.get("svhn").check(build(name, train, test, tuple(map(str, range(10)))))


def _read(path: Path) -> tuple[Tensor, Tensor]:
    """Return images uint8 (N, 3, 32, 32) and labels (N,); the files write the digit 0 as 10."""
    from scipy.io import loadmat  # takes a second

    try:
        content = loadmat(path, variable_names=["X", "y"])
        images, labels = content["X"], content["y"].ravel()
    except Exception as error:  # damage surfaces as almost any exception of the reader
        raise DataError(f"{path} is not a file of MATLAB that holds X and y: {error!s:.200}; replace it") from error
    if images.dtype != np.uint8 or images.ndim != 4 or not np.isin(labels, np.arange(1, 11)).all():
        raise DataError(
            f"{path} holds X of {images.dtype} {images.shape} and y of {labels.dtype}; expected are uint8 "
            "(32, 32, 3, N) and the digits 1 to 10; replace it"
        )
    pixels = np.ascontiguousarray(images.transpose(3, 2, 0, 1))
    return torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64) % 10)
