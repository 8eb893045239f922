"""`sambench doctor`: what it says of this machine, and that it fails only where something is broken."""

import pytest
import torch
from typer.testing import CliRunner

from sambench import cli
from sambench.errors import StateError
from sambench.slurm import doctor


def run(results):
    result = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1"}).invoke(cli.app, ["doctor", "--results", str(results)])
    return result.stdout, result.exception


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_DATA", str(tmp_path / "data"))


def test_a_machine_without_gpu_or_slurm_is_not_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "_DRIVER", tmp_path / "none")
    printed, error = run(tmp_path / "r")
    assert error is None, error
    for name in ("Python", "packages", "torch", "GPU", "bf16", "threads", "SLURM", "cache", "results", "plug-ins"):
        assert any(line.startswith(f"{name} ") for line in printed.splitlines()), printed
    assert "nothing is broken; next: sambench quickstart" in printed
    assert not (tmp_path / "r").exists()


def test_what_is_broken_is_named_and_the_command_fails(tmp_path, monkeypatch):
    (tmp_path / "data").write_text("a file where a folder should be")
    (tmp_path / "version").touch()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor, "_DRIVER", tmp_path / "version")
    printed, error = run(tmp_path / "r")
    assert isinstance(error, StateError)
    assert "broken here: GPU, cache" in str(error)
    assert "move that file away" in " ".join(printed.split())
    assert "there is a driver of NVIDIA" in printed


def test_a_file_system_without_locks_that_hold_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr("sambench.results.records.lease.is_held", lambda *_, **__: False)
    assert "two processes could hold one run" in next(iter(doctor._results(tmp_path)))[1]


@pytest.mark.parametrize(
    ("needed", "state", "text"),
    [
        (["torch>=99"], "broken", "is older than 99: pip install --upgrade sambench"),
        (["no-such-package>=1"], "broken", "no-such-package: pip install"),
        (['no-such-package>=1; extra == "tune"'], "note", "without no-such-package: pip install 'sambench[tune]'"),
        (["torch>=1.0", 'no-such-package>=1; extra == "test"'], "ok", "and all that it requires"),
    ],
)
def test_packages_are_held_to_what_is_required(tmp_path, monkeypatch, needed, state, text):
    monkeypatch.setattr(doctor, "requires", lambda name: needed)
    monkeypatch.setattr(doctor, "version", lambda name: version(name) if name != "sambench" else "1")
    version = __import__("importlib.metadata").metadata.version
    assert any(text in said for found, said in doctor._packages(tmp_path) if found == state)
