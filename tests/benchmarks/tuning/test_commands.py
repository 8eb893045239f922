"""Tuning and calibration as a user meets them: from a suite to the records of its tracks."""

import tomllib

import pytest
from synthetic import read_manifests
from typer.testing import CliRunner

from sambench import cli
from sambench.benchmarks.suites.suite import load_suite
from sambench.errors import SambenchError
from sambench.results.records.retractions import RETRACTED
from sambench.results.records.store import Store
from sambench.results.records.trials import ledger_hash, read_ledger


def sambench(*words, error=None):
    result = CliRunner(env={"COLUMNS": "250", "NO_COLOR": "1"}).invoke(cli.app, [str(word) for word in words])
    if error is None:
        assert result.exception is None, (result.exception, result.output)
        return result.output
    assert isinstance(result.exception, SambenchError), (result.exception, result.output)
    assert error in str(result.exception)
    return str(result.exception)


@pytest.fixture
def small(tmp_path, small_suite):
    path = tmp_path / "small.toml"
    path.write_text(small_suite.text.replace('[[runs]]\nvariant = "esam"\n', "").replace("trials = 3", "trials = 2"))
    return path


@pytest.mark.slow  # starts worker processes several times
def test_from_a_suite_to_a_ledger_to_the_final_runs(small, tmp_path):
    results, here = tmp_path / "r", ["--results", tmp_path / "r", "--device", "cpu"]
    sambench("launch", small, *here, error=f"`sambench tune {small} --results {results}`")
    text = sambench("tune", small, *here, "--workers", "1")
    assert "trials: " in text
    ledger, final = results / "ledgers" / "small.parquet", results / "suites" / "small.toml"
    assert f"next: sambench launch {final} --results {results}\n" in text
    assert tomllib.loads(final.read_text())["tuned"] == {"ledger": ledger.name, "sha256": ledger_hash(ledger)}
    assert len(read_ledger(ledger)) == 2 * 2 * (2 + 2)
    before = final.read_bytes(), ledger.read_bytes()
    assert "to do 0" in sambench("tune", small, *here)
    assert (final.read_bytes(), ledger.read_bytes()) == before

    told = sambench("status", small, "--results", results)
    assert f"sambench status {final} --results {results}" in told
    sambench("launch", final, *here, "--workers", "1")
    (manifest,) = read_manifests(results)
    store = Store(results)
    assert sorted(manifest.runs) == store.run_ids()
    assert manifest.command == f"sambench launch {final.name}"
    assert manifest.tuning.sha256 == ledger_hash(ledger)
    assert {record.metrics.split for record in store.records()} == {"test"}
    for track in manifest.tracks:
        assert max(track.spent(store.read(run)) for run in track.runs) <= track.budget

    small.write_text(small.read_text().replace("trials = 2", "trials = 4"))
    sambench("tune", small, *here, "--workers", "1", error="its test set was used")
    assert (final.read_bytes(), ledger.read_bytes()) == before

    runs = ", ".join(f'"{run}"' for run in manifest.runs)
    (results / RETRACTED).write_text(
        f'[[retracted]]\nruns = [{runs}]\nreason = "the search was too narrow"\ndate = "2026-01-01"\n'
    )
    sambench("tune", small, *here, "--workers", "1")
    assert len(read_ledger(ledger)) == 2 * 2 * (4 + 2)
    sambench("plan", final, *here)


@pytest.mark.slow  # starts worker processes several times
def test_from_a_time_budget_to_runs_on_the_device_that_was_timed(tmp_path):
    path, ready, results = tmp_path / "race.toml", tmp_path / "ready" / "race.toml", tmp_path / "r"
    path.write_text(
        'title = "A race"\ntracks = ["T"]\nseeds = [1]\n[time]\nseconds = 0.05\n'
        '[spec]\nmodel = "mlp"\nsubset = 96\nbatch_size = 32\n'
        '[[runs]]\nvariant = "sgd"\n[[runs]]\nvariant = "unified_sam"\nlam = "1-1/t"\n'
    )
    sambench("launch", path, "--results", results, error=f"`sambench calibrate {path} --output race.timed.toml`")
    assert "turn 2 of 2" in sambench("calibrate", path, "--output", ready, "--turns", "2", "--device", "cpu")
    (track,) = load_suite(str(ready)).resolved_tracks
    assert set(track.calibration.seconds) == {"sgd", "unified_sam lam=1-1/t"}
    assert min(track.calibration.seconds.values()) > 0
    sambench("calibrate", ready, "--output", ready, "--turns", "1", error="calibrated already")
    sambench("launch", ready, "--results", results, "--device", "cpu")
    assert len(Store(results).run_ids()) == 2
    name = track.calibration.device_name
    ready.write_text(ready.read_text().replace(name, "another device"))
    sambench("launch", ready, "--results", results, "--device", "cpu", error="calibrated on another device")


@pytest.mark.slow  # starts worker processes
def test_trials_that_cannot_be_made_are_no_trials(small, tmp_path):
    small.write_text(small.read_text().replace('"sgd"', '"gsam"\nhyper = { rho = 0.1, rho_min = 0.3 }'))
    here = ["--results", tmp_path / "r", "--device", "cpu", "--workers", "1"]
    sambench("tune", small, *here, error="trials cannot be made")
    assert not (tmp_path / "r" / "ledgers").exists()


def test_what_has_no_track_t_is_not_calibrated(small, tmp_path):
    sambench("calibrate", small, "--output", tmp_path / "x.toml", error="has no track T")
    assert not (tmp_path / "x.toml").exists()
