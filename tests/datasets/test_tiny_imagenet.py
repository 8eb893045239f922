"""Tiny ImageNet from an archive in the official format."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sambench.datasets import load, tiny_imagenet
from sambench.errors import DataError

from .builders import encode, expect, pixels

CLASSES = ("n02", "n01", "n10")


def members(rows: int = 2) -> dict[str, bytes]:
    """What the official archive holds, ``rows`` training images a class; PNGs, so that pixels are known."""
    images = iter(pixels(3 * rows + 4, (64, 64, 3)))
    found = {"wnids.txt": "\n".join(CLASSES).encode(), "words.txt": b"n01\ta fish\n"}
    for name in CLASSES:
        found[f"train/{name}/{name}_boxes.txt"] = b"n01_0.JPEG\t0\t0\t9\t9\n"
        for row in range(rows):
            found[f"train/{name}/images/{name}_{row}.JPEG"] = encode(next(images))
    found["val/images/val_1.JPEG"], found["val/images/val_0.JPEG"] = encode(next(images)), encode(next(images))
    found["val/val_annotations.txt"] = b"val_1.JPEG\tn10\t0\t0\t9\t9\nval_0.JPEG\tn01\t0\t0\t9\t9\n"
    found["test/images/test_0.JPEG"] = encode(next(images))
    return found


def write(path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, bytes], folder: str = "tiny-imagenet-200/"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in content.items():
            file.writestr(folder + name, data)
    monkeypatch.setattr(tiny_imagenet, "MD5", hashlib.md5(path.read_bytes()).hexdigest())
    expect(monkeypatch, "tiny_imagenet", train=6, test=2, classes=3)
    return path


@pytest.fixture
def archive(tmp_path):
    return tmp_path / "data" / "tiny-imagenet-200.zip"


def test_the_official_archive_is_read_and_not_unpacked(archive, tmp_path, monkeypatch):
    content = members()
    write(archive, monkeypatch, content)
    found = load("tiny_imagenet")
    assert found.classes == ("n01", "n02", "n10")
    assert found.train_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.test_labels.tolist() == [2, 0]

    def image(name):
        (tmp_path / "one.png").write_bytes(content[name])
        return torch.from_numpy(np.array(Image.open(tmp_path / "one.png"))).permute(2, 0, 1)

    assert torch.equal(found.train_images[1], image("train/n01/images/n01_1.JPEG"))
    assert torch.equal(found.test_images[0], image("val/images/val_1.JPEG"))
    assert [one.name for one in archive.parent.iterdir()] == [archive.name]
    assert load("tiny_imagenet").fingerprint == found.fingerprint


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"wnids.txt": b"n01\nn02\n"}, "class 'n10' is not in wnids.txt"),
        ({"wnids.txt": b"\xff\xfe"}, "can't decode"),
        ({"val/val_annotations.txt": b"val_9.JPEG\tn01\n"}, r"no item named .*val_9\.JPEG"),
        ({"val/val_annotations.txt": b"../../etc/passwd\tn01\n"}, "no item named"),
        ({"train/n01/images/n01_0.JPEG": b"\0" * 2**21}, "has 2,097,152 bytes, and 1,048,576 are the most"),
        ({"train/n01/images/n01_0.JPEG": b"no image"}, "is not an image that Pillow can decode"),
        ({"train/n01/images/n01_0.JPEG": encode(pixels(1, (32, 32, 3))[0])}, "2 different sizes"),
        ({"train/n01/images/n01_2.JPEG": encode(pixels(1, (64, 64, 3))[0])}, "train is 7, expected 6"),
    ],
)
def test_what_holds_something_else_is_refused_and_nothing_is_written(archive, tmp_path, monkeypatch, change, says):
    write(archive, monkeypatch, members() | change)
    with pytest.raises(DataError, match=says):
        load("tiny_imagenet")
    assert [one.name for one in archive.parent.iterdir()] == [archive.name]
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_damaged_archives_are_refused(archive, monkeypatch):
    write(archive, monkeypatch, members())
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-30])
    with pytest.raises(DataError, match="is damaged or not the official file"):
        load("tiny_imagenet")
    for damaged in (whole[:-30], whole[:200] + b"\0" * 400 + whole[600:]):
        archive.write_bytes(damaged)
        monkeypatch.setattr(tiny_imagenet, "MD5", hashlib.md5(damaged).hexdigest())
        with pytest.raises(DataError, match="does not hold the official data"):
            load("tiny_imagenet")
    archive.unlink()
    with pytest.raises(DataError, match=r"Put the file tiny-imagenet-200\.zip \(md5"):
        load("tiny_imagenet")


def test_an_archive_of_another_folder_is_refused(archive, monkeypatch):
    write(archive, monkeypatch, members(), folder="other/")
    with pytest.raises(DataError, match="no item named"):
        load("tiny_imagenet")
