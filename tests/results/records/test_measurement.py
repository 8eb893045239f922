"""Measurements: append-only, typed, hashed over all settings; exported, merged, validated."""

import json
import os
from functools import partial

import pandas as pd
import pytest
from pydantic import ValidationError
from synthetic import build_measurement, build_record

from sambench.results.records.measurement import (
    Measurement,
    Measurements,
    measurement_id,
    merge_measurements,
)
from sambench.results.records.store import Damaged, Store
from sambench.results.tables.dataframe import export, frame, load_results
from sambench.results.tables.measured import with_measurements
from sambench.results.validation import validate

RECORD = build_record(weights="1" * 64)
build = partial(build_measurement, RECORD)


@pytest.fixture
def filled(tmp_path):
    store = Store(tmp_path / "r")
    store.write(RECORD)
    Measurements(store).write(build())
    return store


def test_every_setting_is_part_of_the_identity():
    ids = {
        build().measurement_id,
        build(epoch=3).measurement_id,
        build(rho=0.2).measurement_id,
        build(samples=5).measurement_id,
        measurement_id(RECORD.run_id, None, "sam_gap", 2, {"rho": 0.1}),
        measurement_id(RECORD.run_id, None, "other", 1, {"rho": 0.1}),
        measurement_id("0" * 64, None, "sam_gap", 1, {"rho": 0.1}),
    }
    assert len(ids) == 7
    with pytest.raises(ValidationError, match="is not the hash of run, measure and settings"):
        Measurement.model_validate({**build().model_dump(), "settings": {"rho": 0.3}})


def test_the_first_measurement_stays(filled):
    measurements = Measurements(filled)
    assert not measurements.write(build(value=9.0))
    assert list(measurements.scan()) == [build()]
    assert measurements.write(build(rho=0.2))
    assert len(list(measurements.of(RECORD.run_id))) == 2


def test_a_pipe_among_the_measurements_is_refused_and_not_waited_for(filled):
    os.mkfifo(Measurements(filled).path(RECORD.run_id, "0" * 64))
    pipe, good = Measurements(filled).scan()
    assert isinstance(pipe, Damaged)
    assert pipe.problem == "it is no regular file"
    assert good == build()


@pytest.mark.parametrize("harm", [lambda d: d[:50], lambda d: b"", lambda d: d.replace(b'"rho":0.1', b'"rho":0.2')])
def test_a_damaged_measurement_is_told_and_left_out(harm, filled, caplog):
    (path,) = Measurements(filled).root.rglob("*.json")
    path.write_bytes(harm(path.read_bytes()))
    Measurements(filled).write(build(rho=0.2))
    found = list(Measurements(filled).scan())
    assert [type(one) for one in found].count(Damaged) == 1
    assert "sam_gap[rho=0.2].gap" in load_results(filled.root)
    assert "left out" in caplog.text


def test_measurements_are_columns(filled, tmp_path):
    other = build_record(seed=7)
    table = with_measurements(frame([RECORD, other]), [build(), build(rho=0.2, value=None), build(epoch=3)])
    columns = ["sam_gap.gap", "sam_gap@3.gap", "sam_gap[rho=0.2].gap"]
    assert list(table.columns[-3:]) == columns
    row = table[table.run_id == RECORD.run_id].iloc[0]
    assert (row[columns[0]], row[columns[1]], pd.isna(row[columns[2]])) == (1.5, 1.5, True)
    assert table[table.run_id == other.run_id][columns].isna().all(axis=None)
    assert len(table) == 2
    export(with_measurements(frame([RECORD]), [build()]), tmp_path / "t.parquet", "parquet")
    assert pd.read_parquet(tmp_path / "t.parquet")["sam_gap.gap"].tolist() == [1.5]
    assert list(with_measurements(frame([RECORD]), []).columns) == list(frame([RECORD]).columns)


def test_measurements_are_merged_unless_they_are_of_other_weights(filled, tmp_path):
    other = Store(tmp_path / "other")
    for one in (build(value=7.0), build(rho=0.2)):
        Measurements(other).write(one)
    foreign = {**build(rho=0.3).model_dump(), "weights": "5" * 64}
    Measurements(other).write(Measurement.model_validate(foreign))
    added, same, problems = merge_measurements(filled, tmp_path / "other" / "runs")
    assert (added, same) == (1, 1)
    assert len(problems) == 1
    assert "on other weights" in str(problems[0])
    assert build() in list(Measurements(filled).scan())


def test_measurements_are_validated(filled):
    def told():
        return [str(one) for one in validate(filled.root, {}, {}) if "measurements/" in one.file]

    assert told() == []
    foreign = {**build(rho=0.3).model_dump(), "weights": "5" * 64}
    Measurements(filled).write(Measurement.model_validate(foreign))
    (text,) = told()
    assert "it was measured on another model" in text
    Measurements(filled).write(build_measurement(build_record(seed=5, weights="1" * 64)))
    assert any("a run without a record" in text for text in told())
    path = Measurements(filled).path(RECORD.run_id, build().measurement_id)
    path.write_text(json.dumps({"schema_version": 1}))
    assert len(told()) == 3
