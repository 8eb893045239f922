"""A signal to a launch of this machine ends all its processes, with checkpoints; the next launch goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sambench.benchmarks.suites.suite import Suite, load_suite
from sambench.results.records.lease import lease_status
from sambench.results.records.store import Store
from sambench.slurm.launch import launch_suite

SUITE = """
title = "Long runs"
seeds = [0, 1, 2]
[spec]
model = "mlp"
subset = 96
batch_size = 32
epochs = 4000
[[runs]]
variant = "sgd"
"""
LIMIT = 120.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # each starts a launch: a minute where nothing else runs


@pytest.fixture(params=[["--workers", "2"]], ids=" ".join)
def launched(request, tmp_path):
    """Start a launch, of two workers; wait until all train; return the process, the suite and its store."""
    path, store = tmp_path / "long.toml", Store(tmp_path / "r")
    path.write_text(SUITE)
    words = ["launch", path, *request.param, "--device", "cpu", "--checkpoint-seconds", "1", "--results", store.root]
    runs = 1 if "--devices" in request.param else 2
    suite = load_suite(str(path))
    with (
        open(tmp_path / "log", "w") as log,
        subprocess.Popen([sys.executable, "-m", "sambench", *map(str, words)], stdout=log, stderr=log) as process,
    ):
        until(lambda: len(holders(suite, store)) == runs)
        yield process, suite, store
        process.kill()


def until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def holders(suite: Suite, store: Store) -> set[int]:
    """Return the processes that hold a run and have made steps of it."""
    found = (lease_status(store.checkpoints(run_id)) for run_id in suite.run_ids)
    return {holder.pid for held, holder in found if held and holder and holder.step}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", ["TERM", "HUP", "KILL", "a worker", "cancel"])
def test_nothing_is_left_running(launched, how):
    process, suite, store = launched
    workers = holders(suite, store)
    if how == "a worker":
        os.kill(min(workers), signal.SIGTERM)
    elif how == "cancel":
        words = ["cancel", str(store.root.parent / "long.toml"), "--results", str(store.root)]
        told = subprocess.run([sys.executable, "-m", "sambench", *words], capture_output=True, text=True, check=True)
        assert "asked 2 processes of this machine" in told.stdout + told.stderr
    else:
        process.send_signal(getattr(signal, f"SIG{how}"))
    assert process.wait(LIMIT) == (-signal.SIGKILL if how == "KILL" else 130)
    until(lambda: not any(map(alive, workers)))
    assert not any(lease_status(store.checkpoints(run_id))[0] for run_id in suite.run_ids)
    begun = [run_id for run_id in suite.run_ids if any(store.checkpoints(run_id).glob("step-*.pt"))]
    assert len(begun) == 2
    assert not store.run_ids()


@pytest.mark.parametrize("launched", [["--devices", "2", "--workers", "1"]], ids=" ".join, indirect=True)
def test_a_killed_launch_leaves_no_process_of_a_run_on_several_devices(launched):
    process, suite, store = launched
    begun = descendants(process.pid)
    assert len(begun) >= 3  # a worker, and a process for each device
    process.kill()
    until(lambda: not any(map(alive, begun)))
    assert not any(lease_status(store.checkpoints(run_id))[0] for run_id in suite.run_ids)
    assert len(list(store.root.glob("checkpoints/*/step-*.pt"))) >= 1


def descendants(pid: int) -> set[int]:
    """Return the processes that a process has started, and those that they have."""
    children = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return children.union(*map(descendants, children))


def test_what_was_stopped_goes_on(launched, essence):
    process, suite, store = launched
    process.terminate()
    process.wait(LIMIT)
    once = Suite("once", "once", "", suite.specs[:1])
    assert list(launch_suite(once, store, "debug").values()) == ["completed"]
    whole = Store(store.root.parent / "whole")
    launch_suite(once, whole, "debug")
    assert essence(store.read(once.specs[0].run_id)) == essence(whole.read(once.specs[0].run_id))
