"""Tracks: nobody gets more than the budget, schedules stretch, and the runs count what was planned."""

import pytest
from synthetic import read_manifests

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.preregistration import preregister
from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.suites.tracks import budget_of, epochs_within, fit
from sambench.benchmarks.training.run import run_spec
from sambench.errors import ConfigError, StateError
from sambench.results.records.store import Store
from sambench.variants import list_variants

SMALL = {"model": "mlp", "subset": 96, "batch_size": 32}
TEXT = """
title = "T"
tracks = ["E", "G"]
seeds = [3, 4]
[spec]
model = "mlp"
subset = 96
batch_size = 32
epochs = 4
warmup_epochs = 1
[[runs]]
variant = "sgd"
[[runs]]
variant = "sam"
grid = { rho = [0.05, 0.1] }
[[runs]]
variant = "looksam"
track = "G"
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "s.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("name", [info.name for info in list_variants()])
def test_at_equal_evaluations_no_variant_gets_more_than_the_budget_or_loses_an_epoch(name):
    epochs, info = 30, next(info for info in list_variants() if info.name == name)
    budget = budget_of("G", epochs)
    spec = fit({"variant": name, "epochs": epochs}, "G", budget)
    cost = info.declared_gradients(spec.hyper)
    assert spec.epochs * cost <= budget * (1 + 1e-9) < (spec.epochs + 1) * cost * (1 + 1e-9)
    assert fit({"variant": name, "epochs": epochs}, "E", budget_of("E", epochs)).epochs == epochs


def test_sgd_gets_twice_the_epochs_of_sam():
    budget = budget_of("G", 7)
    assert fit({"variant": "sam", "epochs": 7}, "G", budget).epochs == 7
    assert fit({"variant": "sgd", "epochs": 7}, "G", budget).epochs == 14


def test_floating_point_takes_no_epoch_away():
    assert [epochs_within(2 * n, cost) for n, cost in ((10, 0.2), (3, 0.1), (9, 1.2))] == [100, 60, 15]
    assert epochs_within(2, 3.0) == 1


def test_the_schedule_is_stretched_with_the_epochs():
    spec = fit({"variant": "sgd", "epochs": 10, "warmup_epochs": 1.0}, "G", 20.0)
    assert (spec.epochs, spec.warmup_epochs, spec.milestones) == (20, 2.0, make_spec({}).milestones)


@pytest.mark.parametrize(("track", "epochs"), [("E", 5), ("G", 10)])
def test_a_share_of_the_budget_is_a_share_of_its_epochs(track, epochs):
    spec = fit({"variant": "sgd", "epochs": 10, "warmup_epochs": 1.0}, track, budget_of(track, 10), share=0.5)
    assert (spec.epochs, spec.warmup_epochs) == (epochs, epochs / 10)
    assert fit({"variant": "sgd", "epochs": 10}, track, budget_of(track, 10), share=0.001).epochs == 1


def test_time_is_divided_by_the_measured_time_of_an_epoch():
    assert fit({"variant": "sam", "epochs": 5}, "T", 100.0, 3.0).epochs == 33
    with pytest.raises(ConfigError, match="calibrate"):
        fit({"variant": "sam", "epochs": 5}, "T", 100.0)
    for seconds in (None, 0, -1.0):
        with pytest.raises(ConfigError, match=f"a number > 0, not {seconds}"):
            budget_of("T", 5, seconds)
    assert budget_of("T", 5, 0.5) == 0.5


def test_a_suite_shares_runs_between_tracks_and_takes_turns(written):
    suite = load_suite(written(TEXT))
    equal, cost = suite.resolved_tracks
    assert (equal.name, equal.budget, cost.name, cost.budget) == ("E", 4.0, "G", 8.0)
    assert [(s.variant, s.epochs, s.seed) for s in cost.specs] == [
        (variant, epochs, seed)
        for seed in (3, 4)
        for variant, epochs in (("sgd", 8), ("sam", 4), ("sam", 4), ("looksam", 6))
    ]
    assert [(s.variant, s.epochs) for s in equal.specs[:3]] == [("sgd", 4), ("sam", 4), ("sam", 4)]
    shared = {s.run_id for s in equal.specs} & {s.run_id for s in cost.specs}
    assert len(shared) == 4
    assert len(suite.specs) == len({s.run_id for s in suite.specs}) == 2 * (3 + 2)
    assert [s.seed for s in suite.specs] == [3] * 5 + [4] * 5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["E", "G"]', '["E", "H"]', "unknown track 'H'; valid: E, G, T"),
        ('track = "G"', 'track = "T"', "track 'T' is not one of the suite's"),
        ('track = "G"', "epochs = 9", "fixes 'epochs', which the suite decides"),
        ('track = "G"', "seed = 9", "fixes 'seed'"),
        ('track = "G"', "rh = 9", "number 3: unknown hyper-parameter"),
        ('["E", "G"]', '["E", "G", "T"]', r"\[time\] seconds"),
    ],
)
def test_what_a_track_decides_is_not_decided_by_an_entry(written, old, new, message):
    with pytest.raises(ConfigError, match=message):
        load_suite(written(TEXT.replace(old, new)))


def test_records_prove_the_budget_and_the_manifest_lists_them(written, tmp_path):
    suite, store = load_suite(written(TEXT.replace("[3, 4]", "[3]"))), Store(tmp_path / "r")
    preregister(suite, store, "sambench launch s.toml")
    (manifest,) = read_manifests(store.root)
    assert manifest.runs == tuple(dict.fromkeys(s.run_id for track in suite.resolved_tracks for s in track.specs))
    for track in manifest.tracks:
        specs = {spec.run_id: spec for spec in suite.specs}
        spent = [track.spent(run_spec(specs[run], store)) for run in track.runs]
        assert max(spent) <= track.budget
        assert min(spent) > track.budget - 2
    assert [spec.seed for spec in suite.specs] == [3] * 5


def test_a_suite_without_tracks_lists_its_runs(written, tmp_path):
    text = TEXT.replace('tracks = ["E", "G"]\n', "").replace('track = "G"\n', "")
    suite = load_suite(written(text))
    preregister(suite, Store(tmp_path), "sambench launch s.toml")
    (manifest,) = read_manifests(tmp_path)
    assert (manifest.tracks, manifest.runs, manifest.untracked) == ((), suite.run_ids, suite.run_ids)
    assert suite.run_ids


def test_a_suite_may_not_lose_a_finished_run(written, tmp_path):
    suite, store = load_suite(written(TEXT)), Store(tmp_path / "r")
    preregister(suite, store, "c")
    run_spec(suite.specs[0], store)
    with pytest.raises(StateError, match="would lose 1 runs"):
        preregister(load_suite(written(TEXT.replace("[3, 4]", "[4, 5]"))), store, "c")


def test_track_t_waits_for_its_calibration(written, tmp_path):
    text = TEXT.replace('["E", "G"]', '["T"]').replace('track = "G"', "") + "[time]\nseconds = 50.0\n"
    suite = load_suite(written(text))
    assert suite.specs == ()
    with pytest.raises(ConfigError, match=r"sambench calibrate .*s.toml --output s.timed.toml"):
        preregister(suite, Store(tmp_path), "c")
    times = {one.method: 10.0 * n for n, one in enumerate(suite.entries, 1)}
    table = "\n".join(f'"{method}" = {seconds}' for method, seconds in times.items())
    text += '[time.calibration]\ndevice_name = "a GPU"\nthreads = 1\nhost = "h"\ntorch = "2"\nturns = 3\n'
    suite = load_suite(written(f"{text}[time.calibration.seconds]\n{table}\n"))
    assert [spec.epochs for spec in suite.specs[:4]] == [5, 2, 1, 1]
    preregister(suite, Store(tmp_path), "c")
    assert read_manifests(tmp_path)[0].tracks[0].calibration.device_name == "a GPU"
