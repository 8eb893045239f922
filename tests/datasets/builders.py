"""Small data sets in every format that a loader reads."""

import dataclasses
import hashlib
import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100

from sambench.datasets import DATASETS
from sambench.datasets.dataset import Dataset, build


def pixels(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random uint8 images (count, *shape)."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def encode(image: np.ndarray, kind: str = "PNG") -> bytes:
    """Encode (H, W) or (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=kind)
    return buffer.getvalue()


def make_dataset(
    count: int = 200, classes: tuple[str, ...] = ("a", "b", "c", "d"), shape: tuple[int, int, int] = (3, 6, 5)
) -> Dataset:
    """A data set of noise whose classes are as balanced as ``count`` allows."""
    labels = torch.arange(count) % len(classes)
    train = (torch.from_numpy(pixels(count, shape, 1)), labels)
    test = (torch.from_numpy(pixels(20, shape, 2)), torch.arange(20) % len(classes))
    return build("noise", train, test, classes)


def write_parquet(
    path: Path,
    images: list[bytes | None],
    labels: list[int | None],
    names: list[str] | None = None,
    *,
    image: str = "img",
    label: str = "label",
    extra: dict[str, list] | None = None,
) -> None:
    """Write a shard in the hub layout."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [None if content is None else {"bytes": content, "path": None} for content in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({image: pa.array(rows, kind), label: pa.array(labels, pa.int64()), **(extra or {})})
    if names is not None:
        about = {"info": {"features": {image: {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    pq.write_table(table, path)


def expect(monkeypatch: pytest.MonkeyPatch, name: str, **known: int | None) -> None:
    """Change what a data set is known to hold, so that a small one passes for the official one."""
    info = dataclasses.replace(DATASETS.get(name), **{"fingerprint": None, **known})
    monkeypatch.setitem(DATASETS.members, name, info)


class Archive:
    """A CIFAR archive in the official format, ``rows`` images a batch, known to torchvision by its checksums.

    ``change`` is what its test batch has otherwise.
    """

    def __init__(
        self,
        kind: type[CIFAR10],
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        rows: int = 4,
        change: dict[str, object] | None = None,
    ) -> None:
        self.kind, self.path = kind, path
        fine = "fine_labels" if kind is CIFAR100 else "labels"
        classes = 100 if kind is CIFAR100 else 10
        training = [name for name, _ in kind.train_list]  # of which the first batch has the classes of the test batch
        batches: dict[str, dict] = {}
        for seed, (name, _) in enumerate((*kind.train_list, *kind.test_list)):
            labels = [(7 * row + seed * (name in training)) % classes for row in range(rows)]
            batches[name] = {"data": pixels(rows, (3072,), seed), fine: labels}
        self.train = [batches[name] for name, _ in kind.train_list]
        self.test = batches[kind.test_list[0][0]]
        self.labels_key = fine
        self.classes = tuple(f"class {index}" for index in range(classes))
        batches[kind.meta["filename"]] = {kind.meta["key"]: list(self.classes)}
        self.test |= change or {}
        self.files = {name: pickle.dumps(batch) for name, batch in batches.items()}

        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w:gz") as tar:
            for name, content in self.files.items():
                entry = tarfile.TarInfo(f"{kind.base_folder}/{name}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        self.md5 = hashlib.md5(path.read_bytes()).hexdigest()

        def checksums(entries: list) -> list:
            return [[name, hashlib.md5(self.files[name]).hexdigest()] for name, _ in entries]

        monkeypatch.setattr(kind, "tgz_md5", self.md5)
        monkeypatch.setattr(kind, "train_list", checksums(kind.train_list))
        monkeypatch.setattr(kind, "test_list", checksums(kind.test_list))
        meta = {**kind.meta, "md5": hashlib.md5(self.files[kind.meta["filename"]]).hexdigest()}
        monkeypatch.setattr(kind, "meta", meta)
        expect(monkeypatch, kind.__name__.lower(), train=rows * len(kind.train_list), test=rows)
