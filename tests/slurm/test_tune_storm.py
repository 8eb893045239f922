"""A tuning that is killed at any moment, or asked to end by any signal, ends in the same ledger and the same suite."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.tuning.strategies import STRATEGIES
from sambench.results.records.lease import lease_status
from sambench.results.records.store import Store
from sambench.results.records.trials import ledger_hash, read_ledger
from sambench.slurm.executor import DebugExecutor
from sambench.slurm.options import RunOptions
from sambench.slurm.tuning import TRIALS, tune_suite

SUITE = """
title = "Trials"
tracks = ["E"]
seeds = [0]
[spec]
model = "mlp"
subset = 96
batch_size = 32
epochs = 300
[tuning]
trials = 3
finalists = 2
seeds = [1000, 1001]
[[runs]]
variant = "sgd"
[[runs]]
variant = "sam"
"""
STORM = ["KILL", "TERM", "KILL", "HUP", "KILL", "INT"]
LIMIT = 240.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # seven starts of Python, with two workers each


def until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def there(group):
    """Tell whether a process of a group is left, be it one that has only begun to start."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_storm_of_signals_changes_no_trial(tmp_path):
    path, rng = tmp_path / "trials.toml", random.Random(0)
    path.write_text(SUITE)
    whole, results = tmp_path / "whole", tmp_path / "stormed"
    made = tune_suite(
        load_suite(str(path)), RunOptions(whole), STRATEGIES.get("halton")(3), DebugExecutor("cpu"), tell=str
    )
    store, ledger = Store(results / TRIALS), results / "ledgers" / "trials.parquet"
    words = ["tune", path, "--strategy", "halton", "--workers", "2", "--device", "cpu", "--results", results]
    command = [sys.executable, "-m", "sambench", *map(str, words)]

    def held():
        return [one for one in (store.root / "checkpoints").glob("*") if lease_status(one)[0]]

    hit = 0
    for how in [*STORM, ""]:
        with (
            open(tmp_path / "log", "w") as log,
            subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as process,
        ):
            try:
                if how:
                    until(lambda process=process: process.poll() is not None or held())
                    time.sleep(rng.uniform(0.0, 0.3))
                    process.send_signal(getattr(signal, f"SIG{how}"))
                code = process.wait(LIMIT)
            finally:
                process.kill()
        hit += code != 0
        assert code in (0, -signal.SIGKILL if how == "KILL" else 130), (tmp_path / "log").read_text()
        until(lambda process=process: not there(process.pid))  # workers whose parent was killed end by themselves
    assert code == 0
    assert hit >= 4
    assert [_timeless(trial) for trial in read_ledger(ledger)] == [_timeless(trial) for trial in made.trials]
    text, expected = ((folder / "suites" / "trials.toml").read_text() for folder in (results, whole))
    assert text.replace(ledger_hash(ledger), "") == expected.replace(ledger_hash(made.ledger), "")
    assert not [*results.rglob("*.tmp"), *results.rglob("*.new")]


def _timeless(trial):
    return trial.model_copy(update={"train_seconds": 0.0})
