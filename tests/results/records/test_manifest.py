"""The manifest: what was promised before the first run; no result that was seen is dropped from it."""

import pytest
from synthetic import read_manifests

from sambench.errors import StateError
from sambench.results.records.manifest import FOLDER, SuiteManifest, Track, write_manifest
from sambench.results.records.store import Store


def manifest(*tracks, **changes):
    fields = {"name": "s", "title": "S", "description": "", "command": "c", "seeds": (1,), "tracks": tracks}
    return SuiteManifest(**(fields | changes))


def test_a_manifest_is_read_back_as_written_and_lists_every_run_once(tmp_path):
    made = manifest(Track(name="E", budget=4, runs=("a" * 64, "b" * 64)), Track(name="G", budget=8, runs=("b" * 64,)))
    write_manifest(Store(tmp_path), made)
    assert read_manifests(tmp_path) == [made]
    assert made.runs == ("a" * 64, "b" * 64)


def test_a_track_reads_what_a_run_spent(make_record):
    record = make_record(epochs=4)
    steps, evaluations = record.counters.steps, record.counters.gradient_evaluations
    epochs = record.curve[-1].epoch
    assert Track(name="E", budget=4, runs=()).spent(record) == epochs
    assert Track(name="G", budget=8, runs=()).spent(record) == pytest.approx(epochs * evaluations / steps)
    assert Track(name="T", budget=8, runs=()).spent(record) == record.timing.train_seconds


def test_finished_runs_are_not_dropped(tmp_path, make_record):
    store, record = Store(tmp_path), make_record()
    full = manifest(Track(name="E", budget=4, runs=(record.run_id, "b" * 64)))
    write_manifest(store, full)
    shorter = manifest(Track(name="E", budget=4, runs=(record.run_id,)))
    write_manifest(store, shorter)
    store.write(record)
    write_manifest(store, full)
    listed = (record.run_id, "b" * 64)
    elsewhere = (manifest(Track(name="G", budget=8, runs=listed)), manifest(untracked=listed))
    for other in (manifest(Track(name="E", budget=4, runs=("b" * 64,))), *elsewhere):
        with pytest.raises(StateError, match="not dropped after they were seen"):
            write_manifest(store, other)
    assert read_manifests(tmp_path) == [full]


def test_runs_outside_tracks_may_be_dropped(tmp_path, make_record):
    store, record = Store(tmp_path), make_record()
    write_manifest(store, manifest(untracked=(record.run_id, "b" * 64)))
    store.write(record)
    write_manifest(store, manifest(untracked=("b" * 64,)))
    assert read_manifests(tmp_path)[0].runs == ("b" * 64,)


def test_a_damaged_manifest_is_named(tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "s.json").write_text('{"name": "s"}')
    with pytest.raises(StateError, match=r"the suite manifest .*s\.json cannot be used"):
        read_manifests(tmp_path)
