"""Measures on the board: means beside the errors of the same runs, and rank correlations with these."""

from pathlib import Path

import numpy as np
from scipy import stats
from synthetic import build_measurement, build_record

from sambench.results.leaderboard.measured import measured, measured_rows
from sambench.results.records.measurement import Measurements
from sambench.results.records.store import Store
from sambench.results.tables.boards import Section, gather

GAPS = {0.1: 3.0, 0.2: 2.0, 0.4: 1.0}
ACCURACIES = {0.1: 0.90, 0.2: 0.92, 0.4: 0.91}


def section(folder: Path, seeds: int = 4) -> Section:
    """Three methods that differ in rho, one that was not measured, and a measure that a single run has."""
    store, measurements = Store(folder), Measurements(Store(folder))
    for seed in range(seeds):
        for rho, gap in GAPS.items():
            record = build_record(hyper={"rho": rho}, seed=seed, accuracy=ACCURACIES[rho] + seed / 1000, count=1000)
            store.write(record)
            measurements.write(build_measurement(record, value=gap + seed / 10))
            measurements.write(build_measurement(record, measure="surface"))  # a picture, not a number
        store.write(build_record(variant="sgd", hyper={}, seed=seed, count=1000))
    measurements.write(build_measurement(record, rho=0.2))
    measurements.write(build_measurement(record, epoch=3, samples=9))
    (path := measurements.path("0" * 64, "1" * 64)).parent.mkdir()
    path.write_text("{")
    found = gather(store)
    assert [one.name for one in found.damaged] == [path.name]
    return found.sections[0]


def test_means_stand_beside_the_errors_of_the_same_runs_and_rankings_are_compared(tmp_path: Path) -> None:
    text = "\n".join(measured(section(tmp_path)))
    half = stats.sem(np.arange(4) / 10) * stats.t.ppf(0.975, 3)
    assert f"| {2.15:.3g} ± {half:.2g} |" in text
    assert "sgd" not in text
    assert "sam_gap[rho=0.2]" not in text
    assert "surface" not in text
    assert "| `sam_gap` | +0.33 [+0.33, +0.33] |   +0.33 [+0.33, +0.33] |       3 |" in text


def test_two_runs_have_no_interval_and_a_table_without_measures_says_nothing(tmp_path: Path) -> None:
    found = section(tmp_path, seeds=2)
    assert "2.05 (n = 2)" in "\n".join(measured(found))
    found.measured.clear()
    assert measured(found) == []


def test_weights_on_the_way_come_before_the_end_in_the_order_of_training(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for rho in GAPS:
        store.write(record := build_record(hyper={"rho": rho}))
        for epoch in (None, 10, 2, 0):
            Measurements(store).write(build_measurement(record, epoch))
            Measurements(store).write(build_measurement(record, epoch, rho=0.2))
    assert list(measured_rows(gather(store).sections[0])) == [
        f"sam_gap{of}{at}" for of in ("", "[rho=0.2]") for at in ("@0", "@2", "@10", "")
    ]
