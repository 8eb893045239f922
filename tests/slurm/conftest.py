"""A stand-in for SLURM, and small suites to launch on it."""

import subprocess
import sys
import time
from pathlib import Path

import fake_slurm
import pytest

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.suite import Suite

TINY = {"dataset": "digits", "model": "mlp", "subset": 96, "batch_size": 32, "epochs": 2, "split": "holdout"}


@pytest.fixture
def tiny_suite():
    """Make a suite of runs of six steps from fields of each."""

    def make(*fields, name="tiny"):
        return Suite(name, name, "", tuple(make_spec({**TINY, **one}) for one in fields))

    return make


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Put SLURM's commands on PATH; jobs wait for ever unless ``running`` is asked for, too."""
    settings = fake_slurm.install(tmp_path / "slurm")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FAKE_SLURM_HOLD", "1")
    return tmp_path / "slurm"


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory):
    """Start a process from which the tasks of jobs are forked; return the place where it listens."""
    place = tmp_path_factory.mktemp("z") / "s"
    program = Path(fake_slurm.__file__).with_name("fork_server.py")
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(program), str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield place
        process.stdin.close()


@pytest.fixture
def running(cluster, fork_server, monkeypatch):
    """Let the controller run what is submitted."""
    monkeypatch.delenv("FAKE_SLURM_HOLD")
    (cluster / "fork_server").symlink_to(fork_server)
    yield cluster
    fake_slurm.end_all()


@pytest.fixture
def until():
    """Wait until something holds. The limit only ends a test that hangs: a slow machine is no failure."""

    def wait(condition, seconds=240.0):
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, "it never came true"
            time.sleep(0.05)
        return found

    return wait
