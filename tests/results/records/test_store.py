"""The store: append-only, atomic, and readable whatever files it contains."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sambench.errors import StateError
from sambench.results.records.record import RunRecord
from sambench.results.records.store import Damaged, Store

Make = Callable[..., RunRecord]

# Writes the records of a file, one JSON a line, in an order of its own, and prints the ids of those it wrote.
WRITER = """
import random, sys
from sambench.results.records.record import RunRecord
from sambench.results.records.store import Store
root, source, seed = sys.argv[1:]
records = [RunRecord.model_validate_json(line) for line in open(source)]
random.Random(int(seed)).shuffle(records)
print("ready", flush=True)
sys.stdin.readline()
for record in records:
    if Store(root).write(record):
        print(record.run_id, flush=True)
"""


def start_writer(root: Path, source: Path, seed: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), str(source), str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_round_trip(tmp_path: Path, make_record: Make) -> None:
    store = Store(tmp_path / "results")
    records = [make_record(seed=seed, lr=0.1 / 3) for seed in range(3)]
    assert list(store.records()) == []
    assert [store.write(record) for record in records] == [True] * 3
    assert store.run_ids() == sorted(record.run_id for record in records)
    assert list(store.records()) == sorted(records, key=lambda record: record.run_id)
    assert store.read(records[1].run_id) == records[1]
    assert store.has(records[1].run_id)
    assert store.path(records[1].run_id) == tmp_path / "results" / "runs" / f"{records[1].run_id}.json"
    assert store.checkpoints("abc") == tmp_path / "results" / "checkpoints" / "abc"


@pytest.mark.parametrize("status", ["completed", "diverged"])
def test_the_first_final_record_stays(tmp_path: Path, make_record: Make, status: str) -> None:
    store = Store(tmp_path)
    first, second = make_record(status=status), make_record(accuracy=0.5)
    assert first.run_id == second.run_id
    assert store.write(first)
    assert not store.write(second)
    assert not store.write(make_record(status="failed"))
    assert store.read(first.run_id) == first
    assert len(os.listdir(store.runs)) == 1


def test_a_failed_attempt_is_replaced(tmp_path: Path, make_record: Make) -> None:
    store = Store(tmp_path)
    failed, done = make_record(status="failed"), make_record()
    assert store.write(failed)
    assert store.write(failed)
    assert not store.has(failed.run_id)
    assert store.run_ids() == []
    assert store.failed_ids() == [failed.run_id]
    assert list(store.records()) == [failed]
    assert store.write(done)
    assert store.failed_ids() == []
    assert list(store.records()) == [done]
    assert len(os.listdir(store.runs)) == 1


def test_a_late_failure_does_not_hide_the_final_record(tmp_path: Path, make_record: Make) -> None:
    store = Store(tmp_path)
    failed, done = make_record(status="failed"), make_record()
    store.write(failed)
    text = store.failed_path(failed.run_id).read_bytes()
    store.write(done)
    store.failed_path(failed.run_id).write_bytes(text)  # what a race would leave behind
    assert store.failed_ids() == []
    assert list(store.records()) == [done]


def test_a_missing_record_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=f"no record of run abc in {tmp_path}"):
        Store(tmp_path).read("abc")


def damage(text: str, how: str) -> str:
    record = json.loads(text)
    match how:
        case "truncated":
            return text[: len(text) // 2]
        case "empty":
            return ""
        case "another run's name":
            record["spec"]["seed"] = 99
        case "a future schema":
            record["schema_version"] = 2
        case "an unknown field":
            record["colour"] = "red"
        case "a missing field":
            del record["counters"]["steps"]
        case "not a number":
            record["curve"][0]["lr"] = float("nan")
        case "a wrong bitset":
            record["metrics"]["accuracy"] = 0.5
        case "a short bitset":
            record["metrics"]["correct"] = record["metrics"]["correct"][:-8]
        case "no metrics":
            record["metrics"] = None
        case "a failure under a final name":
            record |= {"status": "failed", "metrics": None}
    return json.dumps(record)


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("truncated", "invalid JSON"),
        ("empty", "invalid JSON"),
        ("another run's name", "not the hash of the spec"),
        ("a future schema", "schema_version=2 is not valid: input should be 1"),
        ("an unknown field", "colour='red' is not valid: extra inputs are not permitted"),
        ("a missing field", "counters.steps: field required"),
        ("not a number", "curve.0.lr=nan is not valid: .*finite"),
        ("a wrong bitset", "the bitset has 380 correct of 400"),
        ("a short bitset", "the bitset has 45 bytes, 400 examples need 50"),
        ("no metrics", "final metrics exactly when it completed"),
        ("a failure under a final name", "does not belong under this name"),
    ],
)
def test_a_damaged_record_is_named_and_hides_no_other(
    tmp_path: Path, make_record: Make, how: str, problem: str
) -> None:
    store = Store(tmp_path)
    good, bad = make_record(seed=0), make_record(seed=1)
    store.write(good)
    store.write(bad)
    path = store.path(bad.run_id)
    path.write_text(damage(path.read_text(), how))
    with pytest.raises(StateError, match=rf"{path} cannot be used: .*{problem}.*move it away"):
        list(store.records())
    with pytest.raises(StateError, match=problem):
        store.read(bad.run_id)
    found = list(store.scan())
    assert [record for record in found if isinstance(record, RunRecord)] == [good]
    assert [record.path for record in found if isinstance(record, Damaged)] == [path]


def test_a_file_under_the_name_of_another_run(tmp_path: Path, make_record: Make) -> None:
    store = Store(tmp_path)
    record = make_record()
    store.write(record)
    store.path("0" * 64).write_bytes(store.path(record.run_id).read_bytes())
    with pytest.raises(StateError, match=f"the record of another run, {record.run_id}"):
        store.read("0" * 64)


def test_a_copy_does_not_count_twice(tmp_path: Path, make_record: Make) -> None:
    store = Store(tmp_path)
    store.write(record := make_record())
    (store.runs / f"{record.run_id} (copy).json").write_bytes(store.path(record.run_id).read_bytes())
    first, copy = store.scan()
    assert first == record
    assert isinstance(copy, Damaged)


def test_a_record_that_cannot_be_read_back_is_not_written(tmp_path: Path, make_record: Make) -> None:
    record = make_record()
    broken = record.model_copy(update={"spec": record.spec | {"seed": 5}})
    with pytest.raises(StateError, match=r"cannot be read back: .*not the hash of the spec"):
        Store(tmp_path).write(broken)
    assert Store(tmp_path).run_ids() == []


def test_other_files_are_ignored(tmp_path: Path, make_record: Make) -> None:
    store = Store(tmp_path)
    store.write(make_record())
    (store.runs / "README.md").write_text("not a record")
    (store.runs / ".hidden.json.1-2.tmp").write_text("{")
    assert len(list(store.records())) == 1


def test_check_writable(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "results")
    store.check_writable()
    assert sorted(os.listdir(store.root)) == ["checkpoints", "runs"]
    assert os.listdir(store.runs) == []
    leftover = store.runs / ".abc.json.1-2.tmp"
    leftover.write_text("{")
    store.check_writable()
    assert os.listdir(store.runs) == []


def test_check_writable_names_the_obstacle(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a note")
    with pytest.raises(StateError, match=f"cannot write in {tmp_path / 'results'}.*or choose another folder"):
        Store(tmp_path / "results").check_writable()
    with pytest.raises(StateError, match="cannot read the results in"):
        Store(tmp_path / "results").run_ids()


def test_many_processes_write_the_same_records(tmp_path: Path, make_record: Make) -> None:
    records = [make_record(seed=seed) for seed in range(40)]
    source = tmp_path / "records.jsonl"
    source.write_text("".join(record.model_dump_json() + "\n" for record in records))
    writers = [start_writer(tmp_path / "results", source, seed) for seed in range(4)]
    for writer in writers:
        go(writer)
    wrote = [run_id for writer in writers for run_id in writer.communicate()[0].split()]
    assert [writer.returncode for writer in writers] == [0] * 4
    assert sorted(wrote) == sorted(record.run_id for record in records)  # each by exactly one
    store = Store(tmp_path / "results")
    assert list(store.records()) == sorted(records, key=lambda record: record.run_id)
    assert len(os.listdir(store.runs)) == len(records)


def test_sigkill_leaves_no_damaged_record(tmp_path: Path, make_record: Make) -> None:
    records = [make_record(seed=seed, epochs=200) for seed in range(200)]
    by_id = {record.run_id: record for record in records}
    source = tmp_path / "records.jsonl"
    source.write_text("".join(record.model_dump_json() + "\n" for record in records))
    store = Store(tmp_path / "results")
    moments = random.Random(0)
    killed = 0
    for seed in range(6):
        writer = start_writer(store.root, source, seed)
        go(writer)
        time.sleep(moments.uniform(0.002, 0.05))
        writer.send_signal(signal.SIGKILL)
        reported = writer.communicate()[0].split("\n")[:-1]
        killed += writer.returncode == -signal.SIGKILL
        assert set(reported) <= set(store.run_ids())
        assert all(record == by_id[record.run_id] for record in store.records())  # and nothing is damaged
    assert killed >= 3
    store.check_writable()
    assert all(name.endswith(".json") and not name.startswith(".") for name in os.listdir(store.runs))
