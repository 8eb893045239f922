"""Starting the processes of a run: one end for all of them, whatever becomes of one; signals reach each once."""

import io
import os
import signal
import subprocess
import sys

import pytest
from worker_stand_ins import DONE, FAILED, FOR_EVER, KILLED, REFUSED, UNTIL_ASKED, WITHOUT_A_WORD, by_rank

from sambench.benchmarks.distributed import torchrun as module
from sambench.benchmarks.distributed import worker as member
from sambench.benchmarks.distributed.torchrun import run_spec_on_devices
from sambench.errors import ConfigError, Interrupted, StateError
from sambench.results.records.store import Store


@pytest.fixture
def launch(monkeypatch, tmp_path, tiny_spec):
    """Start two pretenders, by the programs of their ranks."""

    def start(*programs, **how):
        monkeypatch.setattr(module, "_PROGRAM", by_rank(*programs))
        monkeypatch.setattr(module, "EXIT_GRACE_SECONDS", 0.5)
        return run_spec_on_devices(2, tiny_spec(variant="sam"), Store(tmp_path), **how)

    return start


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        ((DONE, WITHOUT_A_WORD), r"process 1 of 2 ended without a word: exit code 7; .* goes on from the last checkp"),
        ((FOR_EVER, KILLED), "process 1 of 2 ended without a word: signal 9"),
        ((FAILED, FOR_EVER), "process 0 of 2 failed: ValueError: seven"),
        ((REFUSED, REFUSED), "^no such data set$"),
    ],
)
def test_one_that_ends_badly_ends_all(programs, message, launch):
    with pytest.raises(StateError, match=message):
        launch(*programs)


def test_progress_is_heard_while_they_work(launch, monkeypatch):
    heard = []
    monkeypatch.setattr(Store, "read", lambda store, run_id: run_id)
    assert len(launch(DONE, DONE, listen=lambda step, total: heard.append((step, total)))) == 64
    assert heard == [(3, 6), (3, 6)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_asks_every_process_once(number, launch):
    heard = []

    def when_both_work(step, total):
        heard.append(step)
        if len(heard) == 2:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    signal.signal(number, lambda *_: heard.append("job"))
    try:
        with pytest.raises(Interrupted, match="stopped after step 4 of 6"):
            launch(UNTIL_ASKED, UNTIL_ASKED, listen=when_both_work)
    finally:
        signal.signal(number, before)
    assert heard == [4, 4, *([] if number == signal.SIGINT else ["job"])]


def test_a_run_with_m_is_refused_before_anything_starts(tiny_spec, tmp_path):
    with pytest.raises(ConfigError, match="is a run on 4 devices"):
        run_spec_on_devices(2, tiny_spec(variant="sam", hyper={"m": 8}), Store(tmp_path))


def test_a_process_whose_parent_is_gone_writes_its_checkpoint_and_stops(monkeypatch):
    signals = []
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))  # the parent's end is closed
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append((pid, number)))
    member._stop_without_parent()
    assert signals == [(os.getpid(), signal.SIGTERM)]


COMMAND = [sys.executable, "-m", "sambench", "run", "--variant", "sam", "--dataset", "digits"]
TINY = ["--model", "wrn10_1", "--subset", "96", "--batch-size", "32", "--epochs", "2", "--device", "cpu"]


def test_the_command_line_spreads_a_run_over_devices(tmp_path):
    words = [*COMMAND, *TINY, "--devices", "2", "--set", "m=device", "--results", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (record,) = Store(tmp_path).records()
    assert (record.status, record.environment.devices, record.spec["hyper"]["m"]) == ("completed", 2, 16)
    assert "devices" in done.stdout


@pytest.mark.slow
def test_torchrun_starts_the_same_run(tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    words = [*launcher, *COMMAND[2:], *TINY, "--set", "m=device", "--results", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (record,) = Store(tmp_path).records()
    assert (record.status, record.environment.devices) == ("completed", 2)
    assert done.stdout.count("training time") == 1
