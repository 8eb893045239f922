"""The index of a store: boards say the same with it, without it and after any damage; what changed is read."""

import os
import shutil
import threading

import pyarrow.parquet as pq
import pytest
from synthetic import build_record

from sambench.results.leaderboard.render import render
from sambench.results.records.record import RunRecord
from sambench.results.records.store import Store
from sambench.results.tables import kept_rows
from sambench.results.tables.boards import assemble, gather
from sambench.results.tables.index import index_of, scan_summaries, wrong_rows
from sambench.results.validation.folder import validate


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with every kind of record, and an index that takes and trusts whatever is there."""
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept_rows, "FEW", -1)
    monkeypatch.setattr(kept_rows, "SETTLED_NS", -(10**15))
    store = Store(tmp_path / "results")
    for seed in range(3):
        for about in ({"variant": "sgd"}, {"variant": "sam"}, {"variant": "sam", "noise": 0.2}, {"split": "search"}):
            store.write(build_record(seed=seed, accuracy=0.9 + seed / 100, **about))
    store.write(build_record(seed=3, status="diverged"))
    store.write(build_record(seed=4, status="failed"))
    store.path("f" * 64).write_text("no record")
    return store


def expected(store):
    """The leaderboard of the records themselves."""
    return render(assemble(store.scan()))


def files(store):
    return list(index_of(store).folder().glob("*.parquet"))


def read_anew(store, monkeypatch):
    """Gather the boards and return the ids of the records that were read."""
    read, scan = [], Store.scan

    def listen(self, run_ids=None):
        for item in scan(self, run_ids):
            read.append(getattr(item, "run_id", None))
            yield item

    with monkeypatch.context() as patch:
        patch.setattr(Store, "scan", listen)
        gather(store)
    return [run_id for run_id in read if run_id]


def test_boards_are_the_same_from_the_index_and_nothing_is_read_again(store, monkeypatch):
    before = expected(store)
    assert len(read_anew(store, monkeypatch)) == 14
    assert read_anew(store, monkeypatch) == []
    assert render(gather(store)) == before
    assert wrong_rows(store, (one for one in store.scan() if isinstance(one, RunRecord))) == []


def test_only_new_records_are_read_and_rows_of_records_that_are_gone_say_nothing(store, monkeypatch):
    gather(store)
    record = build_record(seed=5)
    store.write(record)
    store.path(store.run_ids()[0]).unlink()
    assert read_anew(store, monkeypatch) == [record.run_id]
    assert render(gather(store)) == expected(store)
    assert len(files(store)) == 1


@pytest.mark.parametrize("keep_times", [False, True])
@pytest.mark.parametrize("replace", [False, True])
def test_a_record_that_was_changed_is_noticed(store, monkeypatch, keep_times, replace):
    gather(store)
    path = store.path(build_record(seed=3).run_id)
    about, text = path.stat(), path.read_text().replace("nan at step 7", "nan at step 8")
    if replace:
        path.unlink()
    path.write_text(text)
    if keep_times:
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert path.stat().st_size == about.st_size
    assert read_anew(store, monkeypatch) == [path.stem]


def test_the_record_of_a_retry_that_succeeds_takes_the_place_of_the_failed_one(store, monkeypatch):
    gather(store)
    record = build_record(seed=4)
    store.write(record)
    assert read_anew(store, monkeypatch) == [record.run_id]
    assert render(gather(store)) == expected(store)


def test_a_file_that_may_still_change_within_a_tick_of_the_clock_is_not_trusted(store, monkeypatch):
    monkeypatch.setattr(kept_rows, "SETTLED_NS", 10**15)
    gather(store)
    assert len(read_anew(store, monkeypatch)) == 14


def truncated(path, _):
    path.write_bytes(path.read_bytes()[:-20])


def changed(path, _):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def empty(path, _):
    path.write_bytes(b"")


def renamed(path, _):
    path.rename(path.with_stem("0" * 64))


def a_folder(path, _):
    path.unlink()
    path.mkdir()


def of_another_store(path, store):
    """Its runs have other files here, and tell of other results."""
    other = Store(store.root.parent / "other")
    for one in store.scan():
        if isinstance(one, RunRecord):
            other.write(one.model_copy(update={"peak_memory": 2**40}))
    gather(other)
    path.unlink()
    shutil.copy(files(other)[0], path.parent)


def of_other_code(path, _):
    rewritten(path, pq.read_table(path).replace_schema_metadata({"code": "0" * 64}))


def of_other_columns(path, _):
    rewritten(path, pq.read_table(path).drop_columns(["memory"]))


def rewritten(path, table):
    pq.write_table(table, path)
    path.rename(path.with_stem(kept_rows.hashlib.sha256(path.read_bytes()).hexdigest()))


@pytest.mark.parametrize(
    "damage", [truncated, changed, empty, renamed, a_folder, of_another_store, of_other_code, of_other_columns]
)
def test_a_damaged_or_foreign_index_is_not_used(store, monkeypatch, damage):
    gather(store)
    damage(files(store)[0], store)
    assert len(read_anew(store, monkeypatch)) == 14
    assert render(gather(store)) == expected(store)


@pytest.mark.parametrize("cache", ["/dev/null/cache", "~nobody-of-that-name/cache"])
def test_boards_need_no_cache(store, monkeypatch, cache):
    monkeypatch.setenv("SAMBENCH_CACHE", cache)
    assert render(gather(store)) == render(gather(store)) == expected(store)


def test_the_results_folder_is_only_read(store):
    before = sorted(store.root.rglob("*"))
    gather(store)
    assert sorted(store.root.rglob("*")) == before
    assert files(store)


def test_several_may_write_at_once(store):
    pages, before = [], expected(store)
    threads = [threading.Thread(target=lambda: pages.append(render(gather(store)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pages == [before] * 4
    assert render(gather(store)) == before
    assert list(scan_summaries(store))


def test_validation_compares_the_rows_with_the_records(store):
    held = build_record(seed=5, split="holdout")  # best on held-out images before the end
    store.write(held.model_copy(update={"best_validation_accuracy": held.curve[0].validation_accuracy}))
    gather(store)
    assert not [one for one in validate(store.root, {}, {}) if "index" in one.value]
    path = files(store)[0]
    table = pq.read_table(path)
    wrong = table.set_column(table.schema.get_field_index("accuracy"), "accuracy", [[0.5] * len(table)])
    rewritten(path, wrong)
    [found] = [one for one in validate(store.root, {}, {}) if "index" in one.value]
    assert found.file.endswith("and 14 more")
    assert str(index_of(store).folder()) in found.way_out
