"""``--devices N``: the run that torchrun makes, and one clear reason in one line, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from torch import distributed as dist
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from sambench.benchmarks.distributed import torchrun
from sambench.benchmarks.distributed.process_group import ProcessLost
from sambench.benchmarks.distributed.rendezvous import DistributedEnvironment
from sambench.benchmarks.distributed.torchrun import reason_recorded
from sambench.benchmarks.training.checkpoint import Checkpoints
from sambench.benchmarks.training.signals import Note
from sambench.errors import ConfigError, Interrupted, SambenchError, StateError
from sambench.results.records.lease import Held, LeaseLost
from sambench.results.records.store import Store
from sambench.slurm.device_group import run_on_devices
from sambench.slurm.options import RunOptions
from sambench.slurm.plan import Planned

LOST = RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")
GOES_ON = "; the others were stopped, and the same command goes on from the last checkpoint"


# -- in the process: what it leaves to torchrun ----------------------------------------------------------------------


@pytest.fixture
def end(tmp_path, monkeypatch):
    """Let a process end by an error, and return how: by raising it, or at once with an exit code."""

    def end(rank, error):
        folder = tmp_path / "attempt_0" / str(rank)
        folder.mkdir(parents=True)
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(folder / "error.json"))
        exits = []
        monkeypatch.setattr(os, "_exit", exits.append)
        try:
            with reason_recorded(DistributedEnvironment(rank, 2, rank)):
                raise error
        except BaseException as raised:
            return raised
        finally:
            written = folder / "error.json"  # in the order of the calls, whatever the resolution of the clock
            os.utime(written, ns=(0, 1000 * len(list(tmp_path.rglob("error.json")))))
        return exits

    return end


def reason(folder, failures=()):
    """Why a run of two processes ended, of which some failed by themselves with these exit codes."""
    observed = {
        rank: ProcessFailure(local_rank=rank, pid=7, exitcode=code, error_file="none") for rank, code in failures
    }
    return torchrun._reason(2, observed, folder)


def test_a_process_that_fails_ends_at_once(end):
    assert end(0, ConfigError("no such data set")) == [1]
    assert end(1, ValueError("seven")) == [1]


def test_the_main_process_says_that_all_were_interrupted(end):
    stop = Interrupted("stopped after step 4 of 6")
    assert end(0, stop) is stop
    assert end(1, stop) == [1]


@pytest.mark.parametrize(("environment", "told"), [(None, True), (DistributedEnvironment(0, 2, 0), False)])
def test_without_torchrun_errors_go_their_way(environment, told, tmp_path, monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE", raising=False)
    if told:
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    with pytest.raises(ValueError, match="seven"), reason_recorded(environment):
        raise ValueError("seven")
    assert not list(tmp_path.iterdir())


# -- in the launcher: what it makes of that ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "codes", "kind", "text"),
    [
        ({0: ConfigError("no data"), 1: ConfigError("no data")}, {}, SambenchError, "no data"),
        ({0: Held("made elsewhere"), 1: Held("made elsewhere")}, {}, Held, "made elsewhere"),
        ({0: LeaseLost("taken over")}, {}, LeaseLost, "taken over"),
        ({1: ValueError("seven"), 0: LOST}, {}, StateError, f"process 1 of 2 failed: ValueError: seven{GOES_ON}"),
        ({0: LOST, 1: ValueError("seven")}, {}, StateError, f"process 1 of 2 failed: ValueError: seven{GOES_ON}"),
        ({0: dist.DistBackendError("NCCL")}, {1: -9}, StateError, f"process 1 of 2 was killed by SIGKILL{GOES_ON}"),
        ({0: ProcessLost("it died")}, {1: 7}, StateError, f"process 1 of 2 ended with exit code 7{GOES_ON}"),
        ({0: ProcessLost("it died")}, {}, StateError, f"process 0 of 2 failed: ProcessLost: it died{GOES_ON}"),
        ({}, {0: 1, 1: 1}, StateError, f"process 0 of 2 ended with exit code 1{GOES_ON}"),
        ({1: Interrupted("after step 4"), 0: Interrupted("after step 4")}, {}, SystemExit, "130"),
        ({}, {}, Interrupted, "stopped before a new checkpoint was written"),
    ],
)
def test_the_first_cause_is_the_reason(errors, codes, kind, text, end, tmp_path):
    for rank, error in errors.items():
        end(rank, error)
    found = reason(tmp_path, codes.items())
    assert (type(found), str(found)) == (kind, text)


def test_an_unexpected_error_comes_with_its_traceback(end, tmp_path, capsys):
    end(1, ValueError("seven"))
    reason(tmp_path)
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last)")
    assert "raise error" in shown
    assert "ValueError" not in shown  # it is in the message that follows


def test_handlers_of_signals_are_those_of_before(monkeypatch):
    """torchrun sets its own, which raise, and leaves them."""
    before = {name: signal.getsignal(getattr(signal, name)) for name in torchrun.SIGNALS}

    def run(asked):
        for name in asked.signals_to_handle.split(","):
            signal.signal(getattr(signal, name), lambda *_: None)

    monkeypatch.setattr(torchrun, "run", run)
    torchrun.run_under_torchrun(2, ["run"])
    assert [handler for handler in before.values() if handler is not signal.SIG_IGN]
    assert {name: signal.getsignal(getattr(signal, name)) for name in torchrun.SIGNALS} == before


def test_a_signal_before_torchrun_listens_is_not_lost(tiny_spec, tmp_path, monkeypatch):
    note = Note()
    note.came = True
    monkeypatch.setattr(
        "sambench.benchmarks.distributed.torchrun.run_under_torchrun", lambda *_: pytest.fail("it began")
    )
    before = signal.signal(signal.SIGTERM, note)
    try:
        run = Planned(tiny_spec(), None, 6, 6.0, 0.0, 1.0)
        event = run_on_devices(run, RunOptions(tmp_path, devices=2), lambda event: None, 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert event.kind == "interrupted"


# -- whole runs ----------------------------------------------------------------------------------------------------

PYTHON = [sys.executable, "-m"]
TORCHRUN = [*PYTHON, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
RUN = ["sambench", "run", "--dataset", "digits", "--model", "wrn10_1", "--subset", "96", "--batch-size", "32"]
RUN += ["--device", "cpu", "--epochs"]
MISHAP = str(Path(__file__).parents[2] / "support" / "mishap.py")


def start(words, folder, mishap=""):
    environment = {**os.environ, "MISHAP": mishap, "OMP_NUM_THREADS": "1"}
    command = [*words, "--results", str(folder), "--checkpoint-seconds", "0"]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)


@pytest.mark.slow  # starts several processes
def test_the_command_line_spreads_a_run_over_devices(tmp_path):
    done = start([*PYTHON, *RUN, "2", "--variant", "sam", "--devices", "2", "--set", "m=device"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (record,) = Store(tmp_path).records()
    assert (record.status, record.environment.devices, record.spec["hyper"]["m"]) == ("completed", 2, 16)
    assert done.stdout.count("training time") == 1
    assert "devices" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_happens_the_same_command_resumes_to_the_bit(tmp_path, essence):
    """And in the end it has made what torchrun makes of the command without ``--devices``."""
    run = [*RUN, "8", "--plugin", MISHAP, "--variant", "mishap"]
    again, whole = start([*TORCHRUN, *run], tmp_path / "whole"), Store(tmp_path / "whole")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("training time") == 1
    (run_id,) = whole.run_ids()

    store, at = Store(tmp_path / "devices"), 0
    for mishap, code, message in (
        ("fail:4", 2, f"error: process 1 of 2 failed: ValueError: the device caught fire{GOES_ON}"),
        ("kill:4", 2, f"error: process 1 of 2 was killed by SIGKILL{GOES_ON}"),
        ("SIGINT:2", 130, "interrupted: stopped after step {} of 24; the same command resumes"),
        ("SIGTERM:2", 130, "interrupted: stopped after step {} of 24; the same command resumes"),
    ):
        done = start([*PYTHON, *run, "--devices", "2"], store.root, mishap)
        before, at = at, Checkpoints(store.checkpoints(run_id), run_id, "").newest_step()
        lines = done.stderr.splitlines()
        assert at > before, done.stderr
        assert (done.returncode, lines[-1]) == (code, message.format(at)), done.stderr
        assert not before or f"resumed {run_id[:12]} at step {before} of 24" in lines[0], done.stderr
        assert done.stderr.count("Traceback") == (mishap == "fail:4"), done.stderr
        assert "elastic" not in done.stderr
        if mishap != "fail:4":
            assert len(lines) == 1 + bool(before), done.stderr
    assert [record.error for record in store.records() if record.status == "failed"] == [
        "ValueError: the device caught fire (on device 1)"
    ]
    done = start([*PYTHON, *run, "--devices", "2"], store.root)
    assert done.returncode == 0, done.stderr
    assert essence(store.read(run_id)) == essence(whole.read(run_id))


@pytest.mark.slow
def test_what_every_process_refuses_is_said_once(tmp_path):
    run = [*RUN, "1", "--variant", "sam", "--dataset", f"cifar10-jpeg=parquet:{tmp_path / 'nowhere'}"]
    done = start([*PYTHON, *run, "--devices", "2"], tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "nowhere" in line
