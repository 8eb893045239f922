"""Merging: new records are added, different ones are reported, existing ones never change."""

import pytest

from sambench.errors import ConfigError
from sambench.results.records.merge import merge
from sambench.results.records.store import Store


def changed(record, **parts):
    """Return the record with fields of its parts replaced: ``metrics={"loss": 1.0}``."""
    content = record.model_dump(mode="json")
    for name, value in parts.items():
        content[name] = {**content[name], **value} if isinstance(value, dict) else value
    return type(record).model_validate(content)


@pytest.fixture
def stores(tmp_path):
    return Store(tmp_path / "here"), Store(tmp_path / "there")


def test_new_records_are_added_and_equal_ones_are_counted(stores, make_record):
    here, there = stores
    both, new = make_record(seed=0), make_record(seed=1)
    here.write(both)
    curve = [{**point.model_dump(), "seconds": 99.0, "sam_gap": 0.1} for point in both.curve]  # not in older records
    elsewhere = {"host": "f" * 12, "commit": "a" * 40}
    there.write(changed(both, curve=curve, timing={"train_seconds": 99.0}, environment=elsewhere))
    there.write(new)
    before = here.path(both.run_id).read_bytes()
    merged = merge(here, there.root)
    assert (merged.added, merged.same, merged.failed, merged.conflicts) == (1, 1, 0, [])
    assert here.read(new.run_id) == new
    assert here.path(both.run_id).read_bytes() == before
    assert merge(here, there.runs).added == 0


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"weights": "0" * 64}, "weights"),
        ({"metrics": {"loss": 9.0}}, "loss"),
        ({"variant_source": "1" * 64}, "variant_source"),
        ({"dataset_fingerprint": "2" * 64}, "dataset_fingerprint"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_different_result_is_reported_and_nothing_is_overwritten(stores, make_record, parts, field):
    here, there = stores
    ours = make_record(seed=0)
    here.write(ours)
    there.write(changed(ours, **parts, environment={"torch": "9.9"}))
    before = here.path(ours.run_id).read_bytes()
    (conflict,) = merge(here, there.root).conflicts
    assert here.path(ours.run_id).read_bytes() == before
    assert [name for name, _, _ in conflict.differences] == [field]
    text = str(conflict)
    assert f"run {ours.run_id[:12]}" in text
    assert "the one that was here stays" in text
    assert "torch 9.9" in text


def test_a_failed_attempt_is_added_only_where_there_is_no_record(stores, make_record):
    here, there = stores
    done, open_ = make_record(seed=0), make_record(seed=1, status="failed")
    here.write(done)
    there.write(make_record(seed=0, status="failed"))
    there.write(open_)
    merged = merge(here, there.root)
    assert (merged.added, merged.failed, merged.conflicts) == (0, 1, [])
    assert here.read(done.run_id) == done
    assert here.failed_ids() == [open_.run_id]


def test_a_damaged_file_of_the_source_is_named_and_left_out(stores, make_record):
    here, there = stores
    record = make_record(seed=0)
    there.write(record)
    there.path("a" * 64).write_text("{")
    merged = merge(here, there.root)
    assert merged.added == 1
    assert [problem.path.name for problem in merged.damaged] == [f"{'a' * 64}.json"]


def test_a_results_folder_may_have_any_name_and_its_runs_stand_for_it(make_record, tmp_path):
    there = Store(tmp_path / "runs")
    there.write(make_record(seed=0))
    for number, source in enumerate((there.root, there.runs)):
        assert merge(Store(tmp_path / f"here {number}"), source).added == 1


def test_a_folder_without_records_is_refused(stores, make_record, tmp_path):
    here, _ = stores
    here.write(make_record(seed=0))
    with pytest.raises(ConfigError, match="no folder 'runs'"):
        merge(here, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is the results folder itself"):
        merge(here, here.root)
