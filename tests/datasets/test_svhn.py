"""SVHN from files in the official format."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision.datasets import SVHN

from sambench.datasets import load
from sambench.errors import DataError

from .builders import expect, pixels


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int = 40, **change: object) -> dict[str, dict]:
    """Write both files, known to torchvision by their checksums; ``change`` is what the test file has otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for seed, part in enumerate(("train", "test")):
        url, filename, _ = SVHN.split_list[part]
        content = {"X": pixels(rows, (32, 32, 3), seed).transpose(1, 2, 3, 0), "y": np.arange(rows)[:, None] % 10 + 1}
        made[part] = content
        savemat(folder / filename, content | (change if part == "test" else {}))
        md5 = hashlib.md5((folder / filename).read_bytes()).hexdigest()
        monkeypatch.setitem(SVHN.split_list, part, [url, filename, md5])
    expect(monkeypatch, "svhn", train=rows, test=rows)
    return made


def test_the_official_files_are_read_as_torchvision_reads_them(tmp_path, monkeypatch):
    made = write(tmp_path / "data", monkeypatch)
    ours, theirs = load("svhn"), SVHN(tmp_path / "data", split="test")
    assert torch.equal(ours.test_images, torch.from_numpy(theirs.data))
    assert ours.test_labels.tolist() == theirs.labels.tolist()
    assert torch.equal(ours.train_images[3], torch.from_numpy(made["train"]["X"][..., 3].transpose(2, 0, 1).copy()))
    assert ours.train_labels[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert ours.classes == tuple("0123456789")
    assert load("svhn").fingerprint == ours.fingerprint


OTHERS = ({"y": np.arange(40)}, {"X": np.zeros((32, 32, 3, 40))}, {"X": np.zeros((3, 4), "u1")})


@pytest.mark.parametrize("change", OTHERS)
def test_a_file_that_holds_something_else_is_refused(tmp_path, monkeypatch, change):
    write(tmp_path / "data", monkeypatch, **change)
    with pytest.raises(DataError, match=r"expected are uint8 \(32, 32, 3, N\) and the digits 1 to 10"):
        load("svhn")


def test_damaged_and_missing_files_are_refused_and_nothing_is_written(tmp_path, monkeypatch):
    write(tmp_path / "data", monkeypatch)
    path = tmp_path / "data" / "test_32x32.mat"
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(DataError, match="is damaged or not the official file"):
        load("svhn")
    monkeypatch.setitem(SVHN.split_list, "test", ["", path.name, hashlib.md5(whole[:-50]).hexdigest()])
    with pytest.raises(DataError, match="is not a file of MATLAB that holds X and y"):
        load("svhn")
    path.unlink()
    with pytest.raises(DataError, match=r"Put the file test_32x32\.mat \(md5"):
        load("svhn")
    assert [one.name for one in (tmp_path / "data").iterdir()] == ["train_32x32.mat"]
    assert not list((tmp_path / "cache").glob("*"))


def test_files_of_another_size_are_other_data(tmp_path, monkeypatch):
    write(tmp_path / "data", monkeypatch)
    expect(monkeypatch, "svhn", train=41, test=40)
    with pytest.raises(DataError, match="train is 40, expected 41"):
        load("svhn")
