"""The index of measurements: boards say the same with it and without it, and what changed is read."""

import os

import pyarrow.parquet as pq
import pytest
from synthetic import build_measurement, build_record

from sambench.results.records.measurement import Measurements
from sambench.results.records.store import Damaged, Store
from sambench.results.tables import kept_rows
from sambench.results.tables.headlines import headlines_of, scan_headlines
from sambench.results.validation.folder import validate


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with measurements of every kind, and an index that takes and trusts whatever is there."""
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept_rows, "FEW", -1)
    monkeypatch.setattr(kept_rows, "SETTLED_NS", -(10**15))
    store = Store(tmp_path / "results")
    for seed in range(2):
        record = build_record(seed=seed)
        store.write(record)
        for about in ({"value": 0.5 + seed}, {"value": 2.0, "rho": 0.2}, {"value": 9.0, "epoch": 1}, {"rho": 0.3}):
            Measurements(store).write(build_measurement(record, **{"value": None, **about}))
    return store


def files(store):
    return sorted(Measurements(store).root.rglob("*.json"))


def read_anew(store, monkeypatch):
    """Gather the headlines and return the files that were read."""
    read, look = [], Measurements.look

    def listen(self, run_id, name):
        read.append(name)
        return look(self, run_id, name)

    with monkeypatch.context() as patch:
        patch.setattr(Measurements, "look", listen)
        scan_headlines(store)
    return sorted(read)


def without_index(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("SAMBENCH_CACHE", "/dev/null/cache")
        return scan_headlines(store)


def test_what_is_as_it_was_is_not_read_again_and_says_the_same(store, monkeypatch):
    before = without_index(store, monkeypatch)
    for seed, values in enumerate(before[0][build_record(seed=seed).run_id] for seed in range(2)):
        assert values == {"sam_gap": 0.5 + seed, "sam_gap[rho=0.2]": 2.0, "sam_gap@1": 9.0}
    assert read_anew(store, monkeypatch) == sorted(path.name for path in files(store))
    assert read_anew(store, monkeypatch) == []
    assert scan_headlines(store) == before


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_measurement_that_was_changed_is_noticed(store, monkeypatch, keep_times):
    scan_headlines(store)
    path = next(path for path in files(store) if ":0.5" in path.read_text())
    about = path.stat()
    path.write_text(path.read_text().replace(":0.5", ":0.7"))
    if keep_times:
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert read_anew(store, monkeypatch) == [path.name]
    assert scan_headlines(store) == without_index(store, monkeypatch)


def test_rows_of_what_is_gone_say_nothing_and_damage_is_told_each_time(store, monkeypatch):
    scan_headlines(store)
    gone, broken = files(store)[:2]
    gone.unlink()
    broken.write_text("no measurement")
    for _ in range(2):
        found, damaged = scan_headlines(store)
        assert [one.path for one in damaged] == [broken]
        assert all(isinstance(one, Damaged) for one in damaged)
        assert (found, damaged) == without_index(store, monkeypatch)


def test_a_file_that_may_still_change_is_not_trusted(store, monkeypatch):
    monkeypatch.setattr(kept_rows, "SETTLED_NS", 10**15)
    scan_headlines(store)
    assert len(read_anew(store, monkeypatch)) == len(files(store))


def test_validation_compares_the_rows_with_the_measurements(store):
    scan_headlines(store)
    assert not [one for one in validate(store.root, {}, {}) if "index" in one.value]
    [path] = headlines_of(store).folder().glob("*.parquet")
    table = pq.read_table(path)
    wrong = table.set_column(table.schema.get_field_index("value"), "value", [[0.25] * len(table)])
    pq.write_table(wrong, path)
    path.rename(path.with_stem(kept_rows.hashlib.sha256(path.read_bytes()).hexdigest()))
    [found] = [one for one in validate(store.root, {}, {}) if "index" in one.value]
    assert found.file.endswith(f"and {len(files(store)) - 1} more")
    assert str(headlines_of(store).folder()) in found.way_out
