"""Atomic files: whole or absent, with concurrent writers and failures of every kind."""

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest

from sambench.atomic import atomic_write_bytes, make_folder, remove_leftovers
from sambench.errors import StateError


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    assert atomic_write_bytes(path, b"one")
    assert atomic_write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_keeps_an_existing_file_without_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    assert atomic_write_bytes(path, b"one", overwrite=False)
    assert not atomic_write_bytes(path, b"two", overwrite=False)
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic_write_bytes(tmp_path / "a.bin", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o640


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    atomic_write_bytes(tmp_path / "a.bin", b"0123456789")
    assert (tmp_path / "a.bin").read_bytes() == b"0123456789"


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "a.bin"
    atomic_write_bytes(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StateError, match=rf"{tmp_path}: no space left \(ENOSPC\).*or choose another folder"):
        atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_real_limit_in_the_middle_of_a_write(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StateError, match="no space left"):
            atomic_write_bytes(tmp_path / "a.bin", bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_read_only() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # the superuser may write anywhere
        try:
            with pytest.raises(StateError, match=r"read-only for this user \(EACCES\)"):
                atomic_write_bytes(folder / "a.bin", b"")
            with pytest.raises(StateError, match="make it writable"):
                make_folder(folder / "runs")
        finally:
            os.seteuid(user)
        assert os.listdir(folder) == []


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a note")
    for folder in (tmp_path / "results", tmp_path / "results" / "runs"):
        with pytest.raises(StateError, match="a file stands where a folder is needed"):
            make_folder(folder)
    assert (tmp_path / "results").read_text() == "a note"


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.bin"
    assert atomic_write_bytes(path, b"one", overwrite=False)
    assert not atomic_write_bytes(path, b"two", overwrite=False)
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_link_whose_reply_was_lost_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert atomic_write_bytes(tmp_path / "a.bin", b"one", overwrite=False)


def test_leftovers_of_dead_writers_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    dead, alive = tmp_path / ".a.bin.1-0.tmp", tmp_path / ".b.bin.2-0.tmp"
    dead.write_bytes(b"half")
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert remove_leftovers(tmp_path) == 1
        assert os.listdir(tmp_path) == [alive.name]
    assert remove_leftovers(tmp_path) == 1
    assert remove_leftovers(tmp_path / "absent") == 0


def test_a_writer_survives_the_loss_of_its_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """remove_leftovers may delete the temporary file between its creation and its lock."""
    opened = os.open
    calls = []

    def steal(path: Path, *arguments: int) -> int:
        descriptor = opened(path, *arguments)
        calls.append(path)
        if len(calls) == 1:
            assert remove_leftovers_as_another_process(tmp_path) == 1
        return descriptor

    def remove_leftovers_as_another_process(folder: Path) -> int:
        monkeypatch.setattr(os, "open", opened)
        removed = remove_leftovers(folder)
        monkeypatch.setattr(os, "open", steal)
        return removed

    monkeypatch.setattr(os, "open", steal)
    assert atomic_write_bytes(tmp_path / "a.bin", b"data")
    monkeypatch.setattr(os, "open", opened)
    assert (tmp_path / "a.bin").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_where_the_file_belongs(tmp_path: Path) -> None:
    (tmp_path / "board.md").mkdir()
    with pytest.raises(StateError, match=r"board\.md is a folder, and a file is to be written \(EISDIR\).*name a file"):
        atomic_write_bytes(tmp_path / "board.md", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["board.md"]
