"""Official archives: read as torchvision reads them; missing and damaged ones are refused with the way out."""

import gzip
import hashlib
import socket
import struct
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100, FashionMNIST

from sambench.datasets import load
from sambench.datasets.cifar import _FILTER
from sambench.datasets.download import fetch
from sambench.errors import DataError

from .builders import Archive, expect, pixels

Writer = Callable[..., Archive]
NAMES = {CIFAR10: "cifar10", CIFAR100: "cifar100"}
CIFARS = pytest.mark.parametrize("kind", NAMES, ids=NAMES.get)
real_download = torch.hub.download_url_to_file


@CIFARS
def test_cifar_pixels_labels_and_names(kind: type[CIFAR10], cifar_archive: Writer) -> None:
    archive = cifar_archive(kind)
    dataset = load(NAMES[kind])
    raw = np.concatenate([batch["data"] for batch in archive.train]).reshape(-1, 3, 32, 32)
    assert torch.equal(dataset.train_images, torch.from_numpy(raw))
    assert dataset.train_labels.tolist() == [label for batch in archive.train for label in batch[archive.labels_key]]
    assert torch.equal(dataset.test_images.flatten(1), torch.from_numpy(archive.test["data"]))
    assert dataset.test_labels.tolist() == archive.test[archive.labels_key]
    assert dataset.classes == archive.classes
    assert dataset.name == NAMES[kind]


def test_cifar_leaves_its_folder_as_it_was(cifar_archive: Writer) -> None:
    archive = cifar_archive()
    load("cifar10")
    assert list(archive.path.parent.iterdir()) == [archive.path]


def test_cifar_is_also_found_unpacked(tmp_path: Path, cifar_archive: Writer) -> None:
    archive = cifar_archive(CIFAR10)
    expected = load("cifar10")
    other = tmp_path / "other"
    with tarfile.open(archive.path) as tar:
        tar.extractall(other, **_FILTER)
    assert load("cifar10", root=other).fingerprint == expected.fingerprint
    batch = other / CIFAR10.base_folder / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"cifar-10-batches-py does not hold the official files.*Delete that folder"):
        load("cifar10", root=other)


@CIFARS
def test_offline_names_the_file_its_md5_and_the_folder(kind: type[CIFAR10], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(NAMES[kind])
    message = str(caught.value)
    for part in (kind.filename, kind.tgz_md5, str(tmp_path / "data"), kind.url, "no network", "SAMBENCH_DATA"):
        assert part in message
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_truncated_archive_is_damaged_and_stays(cifar_archive: Writer, keep: int) -> None:
    archive = cifar_archive()
    content = archive.path.read_bytes()[:keep]
    archive.path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load("cifar10")
    message = str(caught.value)
    found = hashlib.md5(content).hexdigest()
    for part in (
        str(archive.path),
        "damaged",
        f"{len(content):,} bytes",
        found,
        archive.md5,
        "Delete it and run again",
    ):
        assert part in message
    assert archive.path.read_bytes() == content


def test_a_download_arrives_whole_and_once(
    tmp_path: Path, cifar_archive: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = cifar_archive(CIFAR10, tmp_path / "server")
    monkeypatch.setattr(CIFAR10, "url", archive.path.as_uri())
    calls = []

    def download(url: str, target: str, **options: object) -> None:
        calls.append((socket.getdefaulttimeout(), options))
        real_download(url, target, progress=False)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    dataset = load("cifar10")
    assert len(dataset.train_labels) == 20
    assert [path.name for path in (tmp_path / "data").iterdir()] == [CIFAR10.filename]
    assert load("cifar10").fingerprint == dataset.fingerprint
    # One attempt, whose time limit was reset afterwards, and no progress bar without a terminal.
    assert calls == [(30.0, {"progress": False})]
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_a_download_with_a_wrong_md5_is_not_kept(
    tmp_path: Path, cifar_archive: Writer, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    archive = cifar_archive(CIFAR10, tmp_path / "server")
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, to, **_: Path(to).write_bytes(content) and None)
    with pytest.raises(DataError, match=f"received {len(content)} bytes with md5 {hashlib.md5(content).hexdigest()}"):
        load("cifar10")
    assert archive.path.exists()
    assert list((tmp_path / "data").iterdir()) == []


def test_a_server_that_never_answers_ends_the_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "download_url_to_file", real_download)
    monkeypatch.setattr("sambench.datasets.download._TIMEOUT_SECONDS", 0.05)
    # The environment may route downloads through a proxy, which would answer instead of the server.
    monkeypatch.setattr(urllib.request, "_opener", urllib.request.build_opener(urllib.request.ProxyHandler({})))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file.bin"
        with pytest.raises(DataError, match=r"could not be downloaded from http.*timed out"):
            fetch(url, tmp_path / "file.bin", "0" * 32)
    assert list(tmp_path.glob("file*")) == []


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="file/data"):
        load("cifar10", root=tmp_path / "file" / "data")


def idx(array: np.ndarray) -> bytes:
    """The format of the MNIST family: two zeros, the type (8: bytes), the number of axes, the axes, the data."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_fashion(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    arrays = {
        "train-images-idx3-ubyte.gz": pixels(12, (28, 28), 0),
        "train-labels-idx1-ubyte.gz": np.arange(12, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte.gz": pixels(5, (28, 28), 1),
        "t10k-labels-idx1-ubyte.gz": np.arange(5, dtype=np.uint8)[::-1].copy(),
    }
    for name, array in arrays.items():
        (folder / name).write_bytes(gzip.compress(idx(array), mtime=0))
    md5 = [(name, hashlib.md5((folder / name).read_bytes()).hexdigest()) for name, _ in FashionMNIST.resources]
    monkeypatch.setattr(FashionMNIST, "resources", md5)
    expect(monkeypatch, "fashion_mnist", train=12, test=5)
    return arrays


def test_fashion_mnist_pixels_labels_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = write_fashion(tmp_path / "data" / "FashionMNIST" / "raw", monkeypatch)
    dataset = load("fashion_mnist")
    assert torch.equal(dataset.train_images[:, 0], torch.from_numpy(arrays["train-images-idx3-ubyte.gz"]))
    assert torch.equal(dataset.test_images[:, 0], torch.from_numpy(arrays["t10k-images-idx3-ubyte.gz"]))
    assert dataset.train_labels.tolist() == [index % 10 for index in range(12)]
    assert dataset.test_labels.tolist() == [4, 3, 2, 1, 0]
    assert dataset.classes[0] == "T-shirt/top"


def test_fashion_mnist_of_debian_needs_no_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fashion(tmp_path / "official" / "FashionMNIST" / "raw", monkeypatch)
    debian = tmp_path / "debian"
    write_fashion(debian, monkeypatch)
    for path in debian.iterdir():
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=1))
    monkeypatch.setattr("sambench.datasets.fashion_mnist.DEBIAN_FOLDER", debian)
    assert load("fashion_mnist").fingerprint == load("fashion_mnist", root=tmp_path / "official").fingerprint
    damaged = debian / "t10k-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is damaged"):
        load("fashion_mnist")


@pytest.mark.parametrize("where", [".", "usr/share/datasets/fashion-mnist"])
def test_fashion_mnist_is_found_in_the_data_folder(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files themselves, or Debian's package as ``dpkg -x`` unpacks it."""
    monkeypatch.setattr("sambench.datasets.fashion_mnist.DEBIAN_FOLDER", Path("/usr/share/datasets/fashion-mnist"))
    write_fashion(tmp_path / "given" / where / "new", monkeypatch)
    for path in (tmp_path / "given" / where / "new").iterdir():
        path.rename(tmp_path / "given" / where / path.name)
    assert len(load("fashion_mnist", root=tmp_path / "given").train_labels) == 12


def test_fashion_mnist_offline_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "FashionMNIST" / "raw"
    write_fashion(folder, monkeypatch)
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError) as caught:
        load("fashion_mnist")
    md5 = dict(FashionMNIST.resources)["train-labels-idx1-ubyte.gz"]
    for part in ("train-labels-idx1-ubyte.gz", md5, str(folder), "apt install dataset-fashion-mnist"):
        assert part in str(caught.value)


def test_fashion_mnist_damaged_archives_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "FashionMNIST" / "raw"
    write_fashion(folder, monkeypatch)
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="damaged or not the official file"):
        load("fashion_mnist")
