"""The snapshot: all that runs need, nothing else, and what git says of its original."""

import json
from pathlib import Path

import pytest

import sambench
from sambench.benchmarks.training.environment import package_hash, source_state
from sambench.errors import StateError
from sambench.slurm.cluster.snapshot import SOURCE, take_snapshot
from sambench.variants import list_variants

PACKAGE = Path(sambench.__file__).parent


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launch")
    take_snapshot(folder, ())
    return folder / "sambench"


def test_every_module_of_the_package_is_there_with_the_same_bytes(copy):
    for room in ("variants", "datasets", "benchmarks", "slurm", "results"):
        modules = [path for path in (PACKAGE / room).rglob("*.py") if (path.parent / "__init__.py").is_file()]
        assert modules
        for path in modules:
            assert (copy / path.relative_to(PACKAGE)).read_bytes() == path.read_bytes()


def test_data_of_packages_is_there_and_records_are_not(copy):
    assert (copy / "benchmarks" / "suites" / "quickstart.toml").is_file()
    assert all((copy / "results" / f"{name}.json").is_file() for name in ("behaviour", "conformance"))
    assert (copy / "variants" / "transcriptions" / "sam.py").is_file()
    assert (copy / "slurm" / "cluster" / "profiles" / "gpu.toml").is_file()
    assert not (copy / "results" / "runs").exists()
    assert not list(copy.glob("**/__pycache__"))
    assert not list(copy.glob("tests*"))
    assert sum(path.stat().st_size for path in copy.rglob("*")) < 3_000_000


def test_variants_keep_their_hashes(copy):
    import hashlib

    for info in list_variants():
        source = Path(info.source_file())
        if source.is_relative_to(PACKAGE):
            there = (copy / source.relative_to(PACKAGE)).read_bytes()
            assert hashlib.sha256(there).hexdigest() == info.source_hash()


def test_the_copy_knows_the_commit_of_its_original(copy):
    assert json.loads((copy / SOURCE).read_text()) == dict(zip(("commit", "dirty"), source_state(PACKAGE), strict=True))
    assert source_state(copy) == source_state(PACKAGE)


def test_a_folder_outside_a_checkout_has_no_commit(tmp_path):
    assert source_state(tmp_path) == (None, None)


def test_the_copy_has_the_hash_of_its_original(copy, tmp_path):
    assert package_hash(copy) == package_hash(PACKAGE)
    (tmp_path / "sam.py").write_text("")
    assert package_hash(tmp_path) != package_hash(PACKAGE)


def test_plugins_of_one_name_do_not_meet(tmp_path):
    plugins = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        plugins.append(str(tmp_path / str(number) / "mine.py"))
        Path(plugins[-1]).write_text(f"VALUE = {number}\n")
    (tmp_path / "empty").mkdir()
    copies = take_snapshot(tmp_path / "launch", tuple(plugins), tmp_path / "empty")
    assert [Path(path).read_text() for path in copies] == ["VALUE = 1\n", "VALUE = 2\n"]


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sambench.slurm.cluster.snapshot.shutil.copyfile", full)
    with pytest.raises(StateError, match="no space left"):
        take_snapshot(tmp_path / "launch", ())
