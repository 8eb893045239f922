"""Tidy tables: documented columns, one type each, the same after a round trip through a file."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sambench.errors import ConfigError
from sambench.results.records.manifest import SuiteManifest, Track, write_manifest
from sambench.results.records.record import RunRecord
from sambench.results.records.retractions import RETRACTED
from sambench.results.records.store import Store
from sambench.results.tables.boards import assemble
from sambench.results.tables.dataframe import COLUMNS, CURVE_COLUMNS, curves, export, frame, load_results

Make = Callable[..., RunRecord]


@pytest.fixture
def records(make_record: Make) -> list[RunRecord]:
    return [
        make_record(variant="unified_sam", hyper={"rho": 0.2, "lam": "1-1/t"}, milestones=[0.5, 0.75]),
        make_record(variant="unified_sam", hyper={"rho": 0.2, "lam": 0.5}, accuracy=0.9),
        make_record(variant="sgd", hyper={}, seed=3, clip=1.0),
        make_record(variant="sam", status="diverged"),
        make_record(variant="sam", status="failed", seed=1),
    ]


def test_every_column_is_documented(records: list[RunRecord]) -> None:
    table = frame(records)
    undocumented = set(table.columns) - set(COLUMNS) - set(records[0].spec) - {"hyper.rho", "hyper.lam"}
    assert not undocumented
    assert set(COLUMNS) - set(table.columns) == {"spec keys", "hyper.NAME", "MEASURE.VALUE"}
    assert all(COLUMNS.values())
    assert list(curves(records).columns) == list(CURVE_COLUMNS)


def test_values_are_those_of_the_records(records: list[RunRecord]) -> None:
    table = frame(records).set_index("run_id")
    assert list(table.index) == sorted(record.run_id for record in records)
    for record in records:
        row = table.loc[record.run_id]
        assert row["variant"] == record.spec["variant"]
        assert row["seed"] == record.spec["seed"]
        assert row["gradient_evaluations"] == record.counters.gradient_evaluations
        assert row["train_seconds"] == record.timing.train_seconds
        assert row["device_name"] == record.environment.device_name
        if record.metrics is None:
            assert pd.isna(row["accuracy"])
            assert pd.isna(row["examples"])
        else:
            assert row["accuracy"] == record.metrics.accuracy
            assert row["examples"] == record.metrics.count


def test_every_column_has_one_type(records: list[RunRecord]) -> None:
    types = frame(records).dtypes.astype(str)
    assert types["accuracy"] == types["hyper.rho"] == types["clip"] == types["lr"] == "float64"
    assert types["seed"] == types["epochs"] == "int64"
    assert types["examples"] == "Int64"
    assert types["nesterov"] == "bool"
    assert "object" not in set(types)
    table = frame(records).set_index("run_id")
    assert table.loc[records[0].run_id, "hyper.lam"] == "1-1/t"
    assert table.loc[records[1].run_id, "hyper.lam"] == "0.5"
    assert pd.isna(table.loc[records[2].run_id, "hyper.lam"])
    assert table.loc[records[0].run_id, "milestones"] == "[0.5,0.75]"


def test_a_column_without_values_keeps_its_type(make_record: Make) -> None:
    record = make_record(status="diverged")
    environment = record.environment.model_copy(update={"dirty": None})
    types = frame([record.model_copy(update={"peak_memory": None, "environment": environment})]).dtypes.astype(str)
    assert types["accuracy"] == types["best_validation_accuracy"] == "float64"
    assert types["peak_memory"] == types["examples"] == "Int64"
    assert types["dirty"] == "boolean"


def test_specs_that_list_their_keys_in_another_order_are_one_method(make_record: Make) -> None:
    record = make_record(seed=1)
    turned = record.model_copy(update={"spec": dict(reversed(record.spec.items()))})
    pd.testing.assert_frame_equal(frame([make_record(), record]), frame([make_record(), turned]))


def test_workload_and_method_are_named_as_on_a_board(make_record: Make) -> None:
    runs = [
        make_record(variant="sgd", epochs=4),
        make_record(variant="sgd", epochs=8),
        make_record(variant="sam", seed=0),
        make_record(variant="sam", seed=1),
        make_record(variant="sam", noise=0.2),
        make_record(variant="sam", split="search", hyper={"rho": 0.9}),
    ]
    table = frame(runs).set_index("run_id").loc[[run.run_id for run in runs]]
    clean, noisy, search = "digits, wrn10_1 (noise=0)", "digits, wrn10_1 (noise=0.2)", "digits, wrn10_1, search"
    assert table["workload"].tolist() == [*[clean] * 4, noisy, search]
    assert table["method"].tolist() == ["sgd (epochs=4)", "sgd (epochs=8)", "sam", "sam", "sam", "sam"]
    boards = assemble(runs).sections
    assert {(s.workload.title, row.label) for s in boards for row in s.workload.rows} == set(
        table[table["split"] == "full"][["workload", "method"]].itertuples(index=False, name=None)
    )


def test_a_folder_is_read_with_suites_tracks_and_retractions(tmp_path: Path, make_record: Make) -> None:
    short, long = (make_record(variant="sgd", epochs=epochs) for epochs in (4, 8))
    sam, other = make_record(), make_record(noise=0.2)
    store = Store(tmp_path)
    for record in (short, long, sam, other):
        store.write(record)
    tracks = tuple(
        Track(name=name, budget=4, runs=tuple(one.run_id for one in runs))
        for name, runs in (("G", (long, sam)), ("E", (short, sam)))
    )
    fields = {"title": "T", "description": "", "command": "c", "seeds": (0,), "tracks": tracks}
    write_manifest(store, SuiteManifest.model_validate({**fields, "name": "s"}))
    fields |= {"tracks": (), "untracked": (sam.run_id,)}
    write_manifest(store, SuiteManifest.model_validate({**fields, "name": "t"}))
    (tmp_path / "suites" / "damaged.json").write_text("{")
    retraction = f'runs = ["{other.run_id}"]\nreason = "it was wrong, seen later"\ndate = "2026-11-20"\n'
    (tmp_path / RETRACTED).write_text(f"[[retracted]]\n{retraction}")
    table = load_results(tmp_path).set_index("run_id")
    assert table.loc[sam.run_id, ["suite", "track"]].tolist() == ["s, t", "E, G"]
    assert table.loc[short.run_id, ["suite", "track", "method"]].tolist() == ["s", "E", "sgd (epochs=4)"]
    assert table.loc[other.run_id, ["suite", "retracted"]].isna().tolist() == [True, False]
    headline = load_results(tmp_path, suite="s", track="G").set_index("run_id")
    assert headline.loc[[long.run_id, sam.run_id], ["suite", "track", "workload", "method"]].to_numpy().tolist() == [
        ["s", "G", "digits, wrn10_1 (noise=0)", "sgd"],
        ["s", "G", "digits, wrn10_1 (noise=0)", "sam"],
    ]
    assert load_results(tmp_path, suite="t")["run_id"].tolist() == [sam.run_id]
    points = load_results(tmp_path, track="E", curves=True)
    assert list(points.columns) == list(CURVE_COLUMNS)
    assert points.groupby("method")["epoch"].max().to_dict() == {"sam": 4, "sgd": 4}
    with pytest.raises(ConfigError, match=r"unknown suite of these results 'digits'.* Valid: s, t"):
        load_results(tmp_path, suite="digits")
    with pytest.raises(ConfigError, match=r"unknown track of s 'T'.* Valid: E, G"):
        load_results(tmp_path, suite="s", track="T")


def test_a_spec_key_never_hides_a_result(make_record: Make) -> None:
    table = frame([make_record(loss="focal")])
    assert table["spec.loss"].tolist() == ["focal"]
    assert table["loss"].dtype == "float64"


def test_curves(make_record: Make) -> None:
    runs = [make_record(seed=seed, split="holdout") for seed in range(2)]
    table = curves(runs)
    assert len(table) == 8
    for run in runs:
        part = table[table["run_id"] == run.run_id]
        assert part["epoch"].tolist() == [1, 2, 3, 4]
        assert part["validation_accuracy"].tolist() == [point.validation_accuracy for point in run.curve]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_files_hold_the_table(tmp_path: Path, records: list[RunRecord], format: str) -> None:
    path, again = tmp_path / "a", tmp_path / "b"
    table = frame(records)
    export(table, path, format)
    export(frame(reversed(records)), again, format)
    assert path.read_bytes() == again.read_bytes()
    read = pd.read_csv(path) if format == "csv" else pd.read_parquet(path)
    assert list(read.columns) == list(table.columns)
    for column in ("run_id", "accuracy", "lr", "hyper.lam", "train_seconds", "seed"):
        assert read[column].dropna().tolist() == table[column].dropna().tolist()
        assert read[column].isna().tolist() == table[column].isna().tolist()
    if format == "parquet":
        pd.testing.assert_frame_equal(read, table)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown format 'xlsx'.* Valid: csv, parquet"):
        export(frame([]), tmp_path / "a", "xlsx")


def test_no_records_are_an_empty_table(tmp_path: Path) -> None:
    assert len(frame([])) == 0
    assert "accuracy" in frame([]).columns
    assert len(curves([])) == 0
    export(frame([]), tmp_path / "a.parquet", "parquet")
    assert len(pd.read_parquet(tmp_path / "a.parquet")) == 0


def test_the_page_documents_every_column() -> None:
    page = (Path(__file__).parents[3] / "docs" / "results.md").read_text()
    table = page.partition("| column | what it is |\n|---|---|\n")[2]
    assert table.splitlines() == [f"| `{name}` | {text} |" for name, text in COLUMNS.items()]
