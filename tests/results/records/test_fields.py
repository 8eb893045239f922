"""Every field of every file of a store has a type and a range: whatever else stands in one is refused on read."""

import json
import os
import re
from contextlib import suppress
from functools import reduce

import pytest
from synthetic import build_record, build_trial

from sambench.results.leaderboard.render import render
from sambench.results.records.lease import read_holder
from sambench.results.records.manifest import SuiteManifest, read_manifest, write_manifest
from sambench.results.records.merge import merge
from sambench.results.records.record import RunRecord, run_id_of
from sambench.results.records.retractions import RETRACTED, Retraction
from sambench.results.records.store import Damaged, DamagedError, Store
from sambench.results.records.trials import Trial, read_ledger, write_ledger
from sambench.results.tables.boards import assemble, gather
from sambench.results.tables.dataframe import frame
from sambench.results.validation import validate

NO_NUMBERS = {
    "true": "true",
    "text": '"²"',
    "list": "[]",
    "table": "{}",
    "nan": "NaN",
    "infinity": "Infinity",
    "1e400": "1e400",
    "400 digits": "1" + "0" * 400,
    "5,000 digits": "9" * 5000,
    "nested": "[" * 500 + "]" * 500,
    "surrogate": '"\\ud800"',
    "-1e308": "-1e308",
}
"""Refused where a number stands."""
NO_WHOLE_NUMBERS = {"beyond 64 bits": str(2**63 + 1), "fraction": "0.5", "negative": "-1"}
NO_TEXTS = {key: NO_NUMBERS[key] for key in ("true", "list", "nan", "400 digits", "nested", "surrogate")} | {"1": "1"}
OTHERS = {"null": "null", "$": '"a$b$"', "markup": '"<script>|[/red]"', "control": '"\\u001b[31m\\u0000"', "0": "0"}
"""What may be refused or not: what is accepted has to be shown."""

MANIFEST = {
    "schema_version": 1, "name": "s", "title": "S", "description": "", "command": "c", "seeds": [1],
    "tracks": [{"name": "T", "budget": 4.0, "runs": ["a" * 64], "calibration": {
        "device_name": "d", "threads": 1, "host": "h", "torch": "2", "seconds": {"sgd": 1.0}, "turns": 3}}],
    "untracked": ["b" * 64], "tuning": {"ledger": "s.parquet", "sha256": "c" * 64},
}  # fmt: skip
HOLDER = {"host": "h", "boot": "b", "pid": 3, "job": "", "first": 0, "step": 4, "total": 9, "seconds": 2.0}
RETRACTION = {"runs": ["a" * 64], "reason": "because it is so", "date": "2026-01-01"}
RECORD = json.loads(build_record(split="holdout", clip=1.0, subset=100, epochs=1, warmup_epochs=0.5).model_dump_json())


def leaves(content, at=()):
    """Yield the place of every value in nested tables; of a list, those of its first item."""
    items = content.items() if isinstance(content, dict) else enumerate(content[:1])
    for key, value in items:
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*at, key))
        else:
            yield (*at, key)


def changed(content, at, raw):
    """Return the JSON of a table with one value replaced by raw text; the spec of a record keeps its hash."""
    copy = json.loads(json.dumps(content))
    reduce(lambda part, key: part[key], at[:-1], copy)[at[-1]] = "@@"
    if at[0] == "spec" and at[1:]:
        with suppress(ValueError, RecursionError):  # such a spec has no hash
            copy["run_id"] = run_id_of(json.loads(json.dumps(copy["spec"]).replace('"@@"', raw)))
    return json.dumps(copy).replace('"@@"', raw)


def refused_here(value):
    if isinstance(value, bool):
        return {key: raw for key, raw in NO_NUMBERS.items() if key != "true"}
    if isinstance(value, int):
        return NO_NUMBERS | NO_WHOLE_NUMBERS
    return NO_NUMBERS if isinstance(value, float) else NO_TEXTS if isinstance(value, str) else {}


def read_record(text, folder):
    try:
        run_id = json.loads(text)["run_id"]
    except (ValueError, RecursionError):
        run_id = RECORD["run_id"]
    path = Store(folder).path(run_id if isinstance(run_id, str) and run_id.isalnum() else "x")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    (found,) = Store(folder).scan()
    path.unlink()
    return None if isinstance(found, Damaged) else found


def read_manifest_file(text, folder):
    (folder / "s.json").write_text(text)
    try:
        return read_manifest(folder / "s.json")
    except DamagedError:
        return None


def read_lease(text, folder):
    (folder / "lease-000001").write_text(text)
    return read_holder(folder / "lease-000001")


def read_row(model):
    def read(text, _):
        try:
            return model.model_validate_json(text, strict=True)
        except ValueError:
            return None

    return read


SCHEMAS = {
    "record": (RECORD, read_record),
    "manifest": (MANIFEST, read_manifest_file),
    "trial": (json.loads(build_trial("sam", 1).model_dump_json()), read_row(Trial)),
    "lease": (HOLDER, read_lease),
    "retraction": (RETRACTION, read_row(Retraction)),
}
FREE = {("schema_version",), ("spec", "hyper", "rho"), ("spec", "milestones"), ("trial", "hyper")}
"""Fields that take values of several types."""


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_field_takes_nothing_but_its_type_and_range(kind, tmp_path):
    content, read = SCHEMAS[kind]
    assert read(json.dumps(content), tmp_path) is not None
    accepted = []
    for at in leaves(content):
        value = reduce(lambda part, key: part[key], at, content)
        wrong = refused_here(value)
        for name, raw in (NO_NUMBERS | NO_WHOLE_NUMBERS | OTHERS | wrong).items():
            found = read(changed(content, at, raw), tmp_path)
            if found is not None:
                accepted.append(found)
                assert name not in wrong or at in FREE, f"{kind} {at}: {name} is accepted"
    if kind == "record":
        for record in accepted:
            assert record.run_id[:12]
            frame([record])
        text_of(assemble(accepted)).encode()


def text_of(boards):
    return "\n".join(render(boards).values())


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results")
    records = [build_record(variant=variant, seed=seed) for variant in ("sgd", "sam") for seed in range(3)]
    for record in records:
        store.write(record)
    whole = {"runs": [record.run_id for record in records], "name": "E", "budget": 4}
    manifest = {"name": "whole", "title": "Whole", "description": "", "command": "c", "seeds": [0, 1, 2]}
    write_manifest(store, SuiteManifest.model_validate(manifest | {"tracks": [whole]}))
    tuned = {"name": "tuned", "untracked": [], "tracks": [], "tuning": {"ledger": "t.parquet", "sha256": "0" * 64}}
    write_manifest(store, SuiteManifest.model_validate(manifest | tuned))
    write_ledger([build_trial("sgd", 0, chosen=True)], store.root / "ledgers" / "t.parquet")
    return store


def damage(store):
    """Put one of each kind of damaged file into a store, and return their names."""
    runs, suites = store.runs, store.root / "suites"
    good = json.loads(build_record(seed=77).model_dump_json())
    for number, (key, raw) in enumerate([("epochs", "9" * 400), ("epochs", str(2**63 + 1)), ("seed", '"x"')]):
        (runs / f"{number:064d}.json").write_text(changed(good, ("spec", key), raw))
        text = changed(good, ("spec", key), raw)
        (runs / f"{json.loads(text)['run_id']}.json").write_text(text)
    (runs / f"{'3' * 64}.json").write_text(json.dumps(good)[:500])
    with (runs / f"{'4' * 64}.json").open("wb") as file:
        file.truncate(2**40)
    (runs / f"{'5' * 64}.json").mkdir()
    os.mkfifo(runs / f"{'6' * 64}.json")
    (runs / f"{'7' * 64}.json").symlink_to(f"{'7' * 64}.json")
    (runs / f"{'8' * 64}.json").symlink_to("nothing")
    (runs / "$<b>[red]|.json").write_text("{}")
    os.close(os.open(os.fsencode(runs) + b"/\xff.json", os.O_CREAT))
    (suites / "a.json").write_text("{")
    (suites / "b.json").mkdir()
    (suites / "c.json").symlink_to("c.json")
    os.mkfifo(suites / "d.json")
    (suites / "e.json").write_text(json.dumps(MANIFEST | {"seeds": [2**70]}).replace('"name": "s"', '"name": "e"'))
    (store.root / "ledgers" / "t.parquet").write_bytes(b"PAR1")
    (store.root / RETRACTED).write_text("retracted = 3")
    return 14 + 5 + 1 + 1


def test_one_damaged_file_of_each_kind_changes_nothing_and_is_listed(store, tmp_path):
    whole = text_of(gather(store)).replace(", chosen", "")
    count = damage(store)
    found = gather(store)
    pages = text_of(found)
    tail = pages.partition("## Files that cannot be read")[2]
    assert len(found.damaged) == count, [item.name for item in found.damaged]
    assert "\\udcff.json" in tail
    assert pages.count("| reproduced |") == whole.count("| reproduced |") == 2
    for line in whole.splitlines():
        assert line in pages or line.startswith(("1 trial", "3 runs", "6 runs")), line
    assert len(frame(record for record in store.scan() if isinstance(record, RunRecord))) == 6
    findings = validate(store.root, {}, {})
    listed = [f for f in findings if f.value.startswith(("the record", "the suite manifest", "the ledger", "the list"))]
    assert sum(1 + int((re.search(r"and (\d+) more", f.file) or [0, 0])[1]) for f in listed) == count  # alike in one
    other = Store(tmp_path / "other")
    merged = merge(other, store.root)
    assert merged.added == 6
    assert all(isinstance(record, RunRecord) for record in other.scan())
    assert set(store.statuses().values()) == {"completed", "damaged"}


def test_a_ledger_of_another_schema_is_damaged(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = build_trial("sam", 1).model_dump()
    for changes in ({"spec": "[]"}, {"spec": "3"}, {"spec": "null"}, {"spec": "[" * 9999}, {"seed": 0.5}, {"more": 1}):
        pq.write_table(pa.Table.from_pylist([row | changes]), tmp_path / "l.parquet")
        with pytest.raises(DamagedError, match="the ledger"):
            read_ledger(tmp_path / "l.parquet")
