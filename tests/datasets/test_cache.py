"""The cache: used if it is valid, replaced if it is not, and never an obstacle to a run."""

import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sambench import atomic
from sambench.datasets import cache, load, parquet
from sambench.datasets.dataset import Dataset

from .builders import encode, pixels, write_parquet


@pytest.fixture
def source(tmp_path: Path) -> str:
    for part, count in (("train", 6), ("test", 3)):
        images: list[bytes | None] = [encode(image) for image in pixels(count, (4, 5, 3), count)]
        write_parquet(tmp_path / "set" / f"{part}-0.parquet", images, [index % 3 for index in range(count)])
    return f"parquet:{tmp_path / 'set'}"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record every decoding."""
    calls, decode = [], parquet._decode

    def record(name: str, *files: list[Path]) -> Dataset:
        calls.append(name)
        return decode(name, *files)

    monkeypatch.setattr(parquet, "_decode", record)
    return calls


def entry(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "cache").iterdir()
    return found


def same(one: Dataset, other: Dataset) -> bool:
    tensors = ("train_images", "train_labels", "test_images", "test_labels")
    values = ("classes", "fingerprint", "mean", "std")
    return all(torch.equal(getattr(one, key), getattr(other, key)) for key in tensors) and all(
        getattr(one, key) == getattr(other, key) for key in values
    )


def test_the_second_load_decodes_nothing_and_returns_the_same(source: str, decoded: list[str]) -> None:
    first = load(source)
    second = load(source, name="other")
    assert decoded == ["set"]
    assert same(first, second)
    assert second.name == "other"
    assert second.train_images.is_contiguous()


def test_only_finished_entries_are_left(source: str, tmp_path: Path) -> None:
    load(source)
    assert entry(tmp_path).suffix == ".npz"
    # Its permissions follow the user's umask.
    mask = os.umask(0)
    os.umask(mask)
    assert entry(tmp_path).stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_moved_folder_is_recognized_and_changed_files_are_not(
    source: str, decoded: list[str], tmp_path: Path
) -> None:
    first = load(source)
    (tmp_path / "set").rename(tmp_path / "moved")
    assert same(load(f"parquet:{tmp_path / 'moved'}"), first)
    assert decoded == ["set"]
    images: list[bytes | None] = [encode(image) for image in pixels(3, (4, 5, 3), 99)]
    write_parquet(tmp_path / "moved" / "test-0.parquet", images, [0, 1, 2])
    assert load(f"parquet:{tmp_path / 'moved'}").fingerprint != first.fingerprint
    assert decoded == ["set", "moved"]


def test_a_new_loader_version_decodes_again(source: str, decoded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    load(source)
    monkeypatch.setattr(cache, "LOADER_VERSION", cache.LOADER_VERSION + 1)
    load(source)
    assert len(decoded) == 2


def test_damage_anywhere_is_noticed_and_repaired(source: str, tmp_path: Path) -> None:
    good = load(source)
    path = entry(tmp_path)
    content = path.read_bytes()
    for position in range(0, len(content), len(content) // 60):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x41]) + content[position + 1 :])
        assert same(load(source), good)
    for length in range(0, len(content), len(content) // 10):
        path.write_bytes(content[:length])
        assert same(load(source), good)
        assert path.stat().st_size == len(content)


@pytest.mark.parametrize("about", [b"[]", b"{}", b"not json", b'{"classes": 3}'])
def test_foreign_entries_are_replaced(source: str, decoded: list[str], tmp_path: Path, about: bytes, caplog) -> None:
    good = load(source)
    path = entry(tmp_path)
    with np.load(path) as arrays:
        content = {**arrays, "about": np.frombuffer(about, dtype=np.uint8)}
    with path.open("wb") as file:
        np.savez(file, **content)
    assert same(load(source), good)
    assert "is damaged" in caplog.text
    assert len(decoded) == 2
    load(source)
    assert len(decoded) == 2


def test_swapped_pixels_with_right_checksums_are_noticed(source: str, tmp_path: Path, caplog) -> None:
    good = load(source)
    path = entry(tmp_path)
    with np.load(path) as arrays:
        content = {**arrays, "train_images": arrays["train_images"][::-1]}
    with path.open("wb") as file:
        np.savez(file, **content)
    assert same(load(source), good)
    assert "its fingerprint is" in caplog.text


def test_pickled_entries_are_never_unpickled(source: str, tmp_path: Path) -> None:
    good = load(source)

    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    with entry(tmp_path).open("wb") as file:
        np.savez(file, about=np.array([Trap()], dtype=object))
    assert same(load(source), good)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_cannot_be_written_is_warned_about_once(
    source: str, decoded: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "cache"
    with caplog.at_level(logging.WARNING):
        assert same(load(source, cache=folder), load(source, cache=folder))
    assert len(decoded) == 2
    messages = [record.getMessage() for record in caplog.records if "cannot be cached" in record.getMessage()]
    assert len(messages) == 1
    assert str(folder) in messages[0]
    assert "SAMBENCH_CACHE" in messages[0]


def test_a_full_disk_leaves_nothing_behind(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(file, **_arrays: np.ndarray) -> None:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert len(load(source).train_labels) == 6
    assert list((tmp_path / "cache").iterdir()) == []
    assert "No space left on device" in caplog.text


def test_an_entry_is_synced_to_disk_before_it_gets_its_name(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: events.append(("fsync", os.fstat(number).st_ino)) or fsync(number))
    monkeypatch.setattr(
        os, "replace", lambda *paths: events.append(("replace", os.stat(paths[0]).st_ino)) or rename(*paths)
    )
    load(source)
    inode = entry(tmp_path).stat().st_ino
    assert events == [("fsync", inode), ("replace", inode)]


def test_an_interrupted_write_leaves_nothing_behind(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_file: object, **_arrays: np.ndarray) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(source)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SAMBENCH_CACHE": "~/here"}, "home/here"),
        ({"XDG_CACHE_HOME": "{tmp}/xdg"}, "xdg/sambench/decoded"),
        ({"XDG_CACHE_HOME": ""}, "home/.cache/sambench/decoded"),
        ({}, "home/.cache/sambench/decoded"),
    ],
)
def test_default_folders(
    variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("SAMBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp=tmp_path))
    assert atomic.default_folder("decoded", "SAMBENCH_CACHE") == tmp_path / expected
