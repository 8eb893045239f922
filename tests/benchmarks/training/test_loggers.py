"""Loggers: the packages themselves read back what the record has; none changes a run, and one that fails ends none."""

import importlib.util
import json
import logging
import os
import signal
import struct

import pytest

from sambench.benchmarks.training import loggers
from sambench.benchmarks.training.loggers import LOGGERS, check_loggers
from sambench.benchmarks.training.run import run_spec
from sambench.errors import ConfigError, Interrupted
from sambench.results.records.store import Store


@pytest.fixture
def logged(tiny_spec, tmp_path, essence):
    """Make a run that is stopped in its second epoch and goes on, with a logger: to the record of one without."""

    def make(name):
        spec, store = tiny_spec(variant="sam", split="holdout", epochs=3), Store(tmp_path / "logged")

        def stop(run):
            return lambda state: os.kill(os.getpid(), signal.SIGTERM) if state.step == 5 else None

        with pytest.raises(Interrupted):
            run_spec(spec, store, watch=stop, log_to=name)
        record = run_spec(spec, store, log_to=name)
        assert essence(record) == essence(run_spec(spec, Store(tmp_path / "alone")))
        return record, store.root / loggers.FOLDER / name

    return make


def assert_as_recorded(values, record):
    """Compare epoch -> name -> value with the curve; the last epoch has what the run is measured with, too."""
    for point in record.curve:
        due = {name: value for name, value in point if name != "epoch" and value is not None}
        if point is record.curve[-1]:
            due |= {"test_accuracy": record.metrics.accuracy, "test_loss": record.metrics.loss}
        told = values[point.epoch]
        del due["seconds"], told["seconds"]  # the second attempt at an epoch took another time
        assert told == pytest.approx(due)


def test_tensorboard_reads_the_curve(logged):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record, folder = logged("tensorboard")
    (run,) = folder.iterdir()
    assert run.name == f"sam_rho=0.05_seed_0-{record.run_id[:12]}"
    assert len(list(run.iterdir())) == 2
    found = EventAccumulator(str(run), purge_orphaned_data=True)
    found.Reload()
    values = {}
    for name in found.Tags()["scalars"]:
        for event in found.Scalars(name):
            assert name not in values.setdefault(event.step, {}), "an epoch is there twice"
            values[event.step][name] = event.value
    assert sorted(values) == [1, 2, 3]
    assert_as_recorded(values, record)


def blocks(data):
    """Yield the records of a file of wandb: a head of 7 bytes, then LevelDB's log in blocks of 32 KiB."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole += data[at + 7 : at + 7 + length]
        if kind in (1, 4):  # the only or the last part
            yield whole
            whole = b""
        at += 7 + length


@pytest.mark.slow  # wandb starts a process of its own
def test_wandb_writes_the_curve_offline(logged, monkeypatch):
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.delenv("WANDB_MODE", raising=False)
    record, folder = logged("wandb")
    files = sorted(folder.glob("offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    assert {path.stem for path in files} == {f"run-{record.run_id[:32]}"}
    values = {}
    for line in map(Record.FromString, blocks(files[-1].read_bytes())):
        if line.WhichOneof("record_type") == "history":
            row = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in line.history.item}
            values.setdefault(row["_step"], {}).update((k, v) for k, v in row.items() if not k.startswith("_"))
    assert_as_recorded(values, record)


def test_a_logger_that_fails_is_left_out(tiny_spec, tmp_path, monkeypatch, caplog):
    class Failing:
        """Fails at its second epoch."""

        name, summary, package = "failing", "fails", ""

        def __init__(self, spec, label, run_id, folder):
            if spec["seed"]:
                raise OSError("no server")

        def epoch(self, epoch, values):
            if epoch == 2:
                raise ConnectionError("the server is gone")

        def close(self):
            raise AssertionError("it was left out")

    monkeypatch.setitem(LOGGERS.members, "failing", Failing)
    with caplog.at_level(logging.WARNING):
        for seed in (0, 1):
            spec = tiny_spec(seed=seed, epochs=3)
            assert run_spec(spec, Store(tmp_path), log_to="failing").status == "completed"
    assert caplog.text.count("--log failing is left out") == 2
    assert "the server is gone" in caplog.text
    assert "no server" in caplog.text


def test_a_logger_that_cannot_be_used_is_refused_before_the_run(monkeypatch):
    assert check_loggers("") == []
    with pytest.raises(ConfigError, match="did you mean 'tensorboard'"):
        check_loggers("tensorbord")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'sambench\[wandb\]'"):
        check_loggers("wandb")
