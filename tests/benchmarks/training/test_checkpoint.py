"""Checkpoints: damaged and foreign ones are refused, the one before serves, nothing is lost."""

import hashlib
import io
import logging
import os
import pickle

import pytest
import torch

from sambench.benchmarks.training.checkpoint import MAGIC, Checkpoints
from sambench.errors import StateError

STATE = {"step": 1, "x": torch.arange(5.0), "n": 3, "list": [1.5, None, "text"]}


@pytest.fixture
def checkpoints(tmp_path):
    made = Checkpoints(tmp_path / "c", "a" * 64, "f" * 64)
    with made.claimed():
        yield made


def test_the_newest_two_are_kept(checkpoints):
    paths = [checkpoints.save(step, {**STATE, "step": step}) for step in (1, 2, 10)]
    assert [path.exists() for path in paths] == [False, True, True]
    state = next(checkpoints.states())
    assert state["step"] == 10
    assert torch.equal(state["x"], STATE["x"])
    assert checkpoints.newest_step() == 10


@pytest.mark.parametrize("damage", ["truncate", "flip", "garbage", "empty"])
def test_a_damaged_one_is_refused_and_the_one_before_used(checkpoints, damage, caplog):
    checkpoints.save(1, {**STATE, "step": 1})
    path = checkpoints.save(2, {**STATE, "step": 2})
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    changed = {"truncate": data[:-7], "flip": data, "garbage": b"not a checkpoint", "empty": b""}[damage]
    path.write_bytes(bytes(changed))
    with pytest.raises(StateError, match=r"damaged|not a sambench checkpoint"):
        checkpoints.load(path)
    with caplog.at_level(logging.WARNING):
        assert next(checkpoints.states())["step"] == 1
    assert "trying the one before it" in caplog.text


@pytest.mark.parametrize(
    ("run_id", "data", "message"), [("b", "f", "belongs to run"), ("a", "e", "made on other data")]
)
def test_a_foreign_one_is_refused(checkpoints, run_id, data, message, tmp_path):
    path = checkpoints.save(1, STATE)
    other = Checkpoints(tmp_path / "c", run_id * 64, data * 64)
    with pytest.raises(StateError, match=message):
        other.load(path)
    assert not list(other.states())


def test_what_is_no_checkpoint_is_told_and_left_alone(checkpoints, caplog):
    checkpoints.save(1, STATE)
    (checkpoints.folder / "step-abc.pt").write_text("x")
    (checkpoints.folder / "step-1000000000.pt").write_text("x")
    (checkpoints.folder / "step-000000009.pt").mkdir()
    os.mkfifo(checkpoints.folder / "step-000000008.pt")
    (checkpoints.folder / "step-000000007.pt").symlink_to("step-000000007.pt")
    (checkpoints.folder / "step-000000006.pt").write_bytes((checkpoints.folder / "step-000000001.pt").read_bytes())
    checkpoints.lease.release()
    with caplog.at_level(logging.WARNING), Checkpoints(checkpoints.folder, "a" * 64, "f" * 64).claimed():
        assert [state["step"] for state in checkpoints.states()] == [1]
    for name in ("step-abc.pt", "step-1000000000.pt", "step-000000009.pt", "which is not its name"):
        assert name in caplog.text
    checkpoints.clear()
    assert sorted(os.listdir(checkpoints.folder)) == ["step-000000009.pt", "step-1000000000.pt", "step-abc.pt"]


@pytest.mark.parametrize("content", [None, [], {}, {"run_id": 3}, {"run_id": "a" * 64, "fingerprint": "f" * 64}])
def test_other_content_under_a_right_checksum_is_refused(checkpoints, content):
    path = checkpoints.save(1, STATE)
    payload = io.BytesIO()
    torch.save(content, payload)
    body = payload.getvalue()
    path.write_bytes(MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(StateError, match="other content"):
        checkpoints.load(path)


def test_pickled_objects_are_refused(checkpoints):
    path = checkpoints.save(1, STATE)
    payload = io.BytesIO()
    torch.save({"run_id": "a" * 64, "fingerprint": "f" * 64, "state": pickle.Pickler}, payload)
    body = payload.getvalue()
    path.write_bytes(MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(StateError, match="cannot be read"):
        checkpoints.load(path)


def test_two_processes_do_not_train_one_run(checkpoints):
    other = Checkpoints(checkpoints.folder, "a" * 64, "f" * 64)
    assert other.held()
    with pytest.raises(StateError, match="being trained by another process"), other.claimed():
        pass


def test_clearing_leaves_nothing(checkpoints):
    checkpoints.save(1, STATE)
    checkpoints.clear()
    assert not checkpoints.folder.exists()
    assert not list(checkpoints.states())
    assert not checkpoints.held()


def test_a_read_only_folder_is_a_clear_error(checkpoints, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sambench.atomic.os.open", refuse)
    with pytest.raises(StateError, match="read-only"):
        checkpoints.save(1, STATE)
