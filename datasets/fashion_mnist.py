"""Fashion-MNIST from its official files, or from Debian's package of them, through torchvision."""

import gzip
import shutil
import tempfile
import zlib
from pathlib import Path

from ..errors import DataError
from .cache import cached
from .dataset import Dataset, build
from .download import fetch
from .registry import register_dataset

# Folder of the Debian package dataset-fashion-mnist: the same four files, recompressed, so with another md5.
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


@register_dataset(
    "fashion_mnist",
    "70,000 gray pictures of clothes in 10 classes, the official files",
    augment="crop:4,flip",
    shape=(1, 28, 28),
    classes=10,
    train=60_000,
    test=10_000,
    fingerprint="b367cd49d55a18a4a0abe65b71b664c3d30c6a0ead56c7219822c9bbb6a9d6f3",
)
def load_fashion_mnist(name: str, root: Path, cache: Path) -> Dataset:
    """Read the four files, or download them.

    They are looked for in ``root/FashionMNIST/raw`` (torchvision's layout), in ``root`` itself, in Debian's package
    unpacked in ``root`` (``dpkg -x``), and in the installed package.

    Raises:
        DataError: if a file is missing and cannot be downloaded, or is damaged.

    References:
        Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
        Algorithms", 2017, arXiv 1708.07747.
    """
    from torchvision.datasets import FashionMNIST  # here, because the import takes a second

    official = root / "FashionMNIST" / "raw"
    names = [file for file, _ in FashionMNIST.resources]
    others = (root, root / DEBIAN_FOLDER.relative_to("/"), DEBIAN_FOLDER)
    found = next((folder for folder in others if _complete(folder, names)), None)
    if found is not None and not _complete(official, names):
        files = [found / file for file in names]
    else:
        files = [_fetch(FashionMNIST.mirrors[0] + file, official / file, md5) for file, md5 in FashionMNIST.resources]
    return cached(name, files[0].parent, files, cache, lambda: _decode(name, files))


def _complete(folder: Path, names: list[str]) -> bool:
    return all((folder / name).is_file() for name in names)


def _fetch(url: str, path: Path, md5: str) -> Path:
    debian = "; on Debian and Ubuntu, `apt install dataset-fashion-mnist` provides all four files"
    return fetch(url, path, md5, otherwise=debian)


def _decode(name: str, files: list[Path]) -> Dataset:
    """Decompress into a temporary folder, where torchvision finds what it takes for its own download."""
    from torchvision.datasets import FashionMNIST

    with tempfile.TemporaryDirectory(prefix="sambench-") as folder:
        raw = Path(folder) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for path in files:
            try:
                with gzip.open(path) as source, (raw / path.stem).open("wb") as target:
                    shutil.copyfileobj(source, target)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DataError(f"{path} is damaged ({error}); replace it by an intact copy") from error
        train, test = FashionMNIST(folder, train=True), FashionMNIST(folder, train=False)
    return build(
        name,
        (train.data.unsqueeze(1), train.targets.long()),
        (test.data.unsqueeze(1), test.targets.long()),
        tuple(FashionMNIST.classes),
    )
