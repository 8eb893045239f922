"""Tuning: one budget for all, nothing forgotten, nothing made twice, the best one wins."""

import json
import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from synthetic import build_trial

from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.tuning.optuna_study import ENDING, StudyFile
from sambench.benchmarks.tuning.search import finalists, tune, tuned_entries
from sambench.benchmarks.tuning.space import Axis
from sambench.benchmarks.tuning.strategies import STRATEGIES, Tried
from sambench.benchmarks.tuning.tuned_suite import final_suite
from sambench.errors import ConfigError, StateError
from sambench.results.records.store import Store
from sambench.results.records.trials import read_ledger, write_ledger
from sambench.variants import StepRule, register


@pytest.fixture(scope="module")
def tuned(small_suite, runner, tmp_path_factory):
    """A tuned suite: suite, trials, store and runner."""
    store = Store(tmp_path_factory.mktemp("tuning"))
    run = runner(store)
    suite = small_suite()
    return suite, tune(suite, store, STRATEGIES.get("halton")(3), run), store, run


def test_everyone_spends_the_same_and_runs_are_shared_between_tracks(tuned):
    suite, trials, store, run = tuned
    spent = Counter((trial.track, trial.method, trial.stage) for trial in trials)
    assert set(spent.values()) == {3, 2}
    assert {key[1] for key in spent} == {"sgd", "unified_sam lam=0.5", "esam"}
    assert len(run.made) == len({spec.run_id for spec in run.made})
    costs_two = [trial for trial in trials if trial.variant == "unified_sam"]
    assert {t.run_id for t in costs_two if t.track == "E"} == {t.run_id for t in costs_two if t.track == "G"}
    assert {t.epochs for t in trials if (t.variant, t.track) == ("sgd", "G")} == {2}
    assert all(record.metrics.split == "validation" for record in store.records())
    assert {trial.seed for trial in trials}.isdisjoint(suite.seeds)


def test_the_first_trial_is_the_default_setting(tuned):
    first = [trial for trial in tuned[1] if trial.trial == 0 and trial.stage == "screen"]
    assert {(trial.lr, trial.weight_decay) for trial in first} == {(0.1, 5e-4)}
    assert {trial.hyper for trial in first if trial.variant == "unified_sam"} == {
        '{"lam":0.5,"lam_clock":"step","rho":0.2}'
    }


def test_everyone_is_screened_at_the_first_seed_and_confirmed_at_the_others(tuned):
    assert {(trial.stage, trial.seed) for trial in tuned[1]} == {("screen", 1000), ("confirm", 1001)}


class Recorder:
    """Proposes the middle of every axis, after its scores where it is sequential, and notes what was tried."""

    name = "recorder"

    def __init__(self, sequential):
        self.sequential, self.seen = sequential, []

    def propose(self, axes, number, tried):
        self.seen.append([(one.settings["epochs"], one.score) for one in tried])
        return {axis.name: 0.5 if axis.name == "epochs" else axis.at(0.5 + 0.1 * number) for axis in axes}


@pytest.mark.parametrize("sequential", [True, False])
def test_a_strategy_is_told_the_settings_and_accuracies_before_it(small_suite, runner, tmp_path, sequential):
    """One by one where it learns from them, else all at once; settings as shares of what the budget allows."""
    head, *_ = small_suite.text.replace('"E", "G"', '"G"').replace("epochs = 1\n", "epochs = 2\n").split("[[runs]]")
    head = head.replace("[tuning]", "[tuning]\nepochs = [0.1, 1.0]")
    suite, store = small_suite(f'{head}[[runs]]\nvariant = "sgd"\n'), Store(tmp_path)
    run, recorder, rounds = runner(store), Recorder(sequential), []
    trials = tune(suite, store, recorder, lambda specs: rounds.append(len(specs)) or run(specs))
    assert [trial.epochs for trial in trials[:3]] == [4, 2, 2]
    tried = [(share, trial.accuracy) for share, trial in zip((1.0, 0.5), trials, strict=False)]
    assert recorder.seen == ([tried[:1], tried] if sequential else [[], []])
    assert rounds == ([1, 1, 1, 2] if sequential else [3, 2])


def test_track_t_is_not_tuned(small_suite):
    """Its runs take the settings of another track, and its epochs are those of a calibration."""
    text = small_suite.text.replace('"E", "G"', '"E", "T"') + "[time]\nseconds = 9.0\n"
    suite = small_suite(text)
    assert [who.key for who in tuned_entries(suite)] == [(one.method, "E") for one in suite.entries]
    with pytest.raises(ConfigError, match="epochs is not valid with track T"):
        tuned_entries(small_suite(text.replace("[tuning]", "[tuning]\nepochs = [0.1, 1.0]")))


def test_a_search_resumes_without_making_anything_twice(tuned, runner):
    suite, trials, store, _ = tuned
    again = runner(store)
    assert tune(suite, store, STRATEGIES.get("halton")(3), again) == trials
    assert again.made == []


def test_what_has_no_result_stops_the_search_with_a_way_out(small_suite, tmp_path):
    with pytest.raises(StateError, match="the same command resumes"):
        tune(small_suite(), Store(tmp_path), STRATEGIES.get("halton")(3), lambda specs: {})


def test_the_chosen_setting_is_the_best_finalist_on_average(tuned):
    for method, track in {(trial.method, trial.track) for trial in tuned[1]}:
        mine = [trial for trial in tuned[1] if (trial.method, trial.track) == (method, track)]
        screened = [trial for trial in mine if trial.stage == "screen"]
        in_final = {trial.trial for trial in mine if trial.stage == "confirm"}
        left_out = [trial.score for trial in screened if trial.trial not in in_final]
        assert min(trial.score for trial in screened if trial.trial in in_final) >= max(left_out)

        def mean(number, mine=mine):
            scores = [trial.score for trial in mine if trial.trial == number]
            return tuple(sum(values) / len(values) for values in zip(*scores, strict=True))

        (best,) = {trial.trial for trial in mine if trial.chosen}
        assert mean(best) == max(map(mean, in_final))


class AtTheEnds:
    """Proposes both ends of the ranges."""

    name, sequential = "ends", False

    def propose(self, axes, number, tried):
        return {axis.name: axis.at(0.999 * (number == 1)) for axis in axes}


def test_the_setting_that_is_marked_is_the_best_and_so_are_its_edges(small_suite, runner, tmp_path):
    head, *_ = small_suite.text.replace('"E", "G"', '"E"').replace("finalists = 2", "finalists = 3").split("[[runs]]")
    suite, store = small_suite(f'{head}[[runs]]\nvariant = "sgd"\n'), Store(tmp_path)
    trials = tune(suite, store, AtTheEnds(), runner(store))
    at_the_end = "lr ({0}), weight_decay ({0})"
    for best, edges in enumerate(("", at_the_end.format("high"), at_the_end.format("low"))):
        known = {t.run_id: t.model_copy(update={"accuracy": 0.4 + 0.1 * (t.trial == best)}) for t in trials}
        found = tune(suite, store, AtTheEnds(), lambda specs: {}, known)
        assert [t.chosen for t in found] == [t.trial == best for t in found]
        assert {t.edges for t in found if t.chosen} == {edges}
        assert {t.edges for t in found if not t.chosen} == {""}


def test_what_an_entry_fixes_stays_in_the_final_suite(small_suite, runner, tmp_path):
    head, *_ = small_suite.text.replace('"E", "G"', '"E"').split("[[runs]]")
    suite, store = small_suite(f'{head}[[runs]]\nvariant = "unified_sam"\nlam = 0.5\nclip = 2.0\n'), Store(tmp_path)
    trials = tune(suite, store, STRATEGIES.get("halton")(3), runner(store))
    path = tmp_path / "small.toml"
    path.write_text(text := final_suite(suite, trials, "small.parquet", "0" * 64, tmp_path))
    assert {(spec.clip, spec.hyper["lam"]) for spec in load_suite(str(path)).resolved_tracks[0].specs} == {(2.0, 0.5)}
    (entry,) = tomllib.loads(text)["runs"]
    assert entry.keys() == {"variant", "clip", "lr", "weight_decay", "hyper"}


def test_the_final_suite_has_the_chosen_settings_on_all_data_with_fresh_seeds(tuned, tmp_path):
    suite, trials, _, _ = tuned
    digest = write_ledger(trials, tmp_path / "small.parquet")
    path = tmp_path / "final" / "small.toml"
    path.parent.mkdir()
    path.write_text(final_suite(replace(suite, keep="weights@0,50%"), trials, "small.parquet", digest, tmp_path))
    final = load_suite(str(path))
    assert final.keep == "weights@0,50%"
    assert (final.title, final.description, final.seeds) == (suite.title, suite.description, suite.seeds)
    assert (final.tuned.ledger, final.tuned.sha256) == ("small.parquet", digest)
    assert final.budget is None
    for track in final.resolved_tracks:
        chosen = {t.method: t for t in trials if t.chosen and t.track == track.name and t.stage == "screen"}
        assert [(s.variant, s.lr, s.weight_decay, s.epochs, s.hyper) for s in track.specs] == [
            (t.variant, t.lr, t.weight_decay, t.epochs, json.loads(t.hyper))
            for _ in final.seeds
            for t in chosen.values()
        ]
        assert {spec.split for spec in track.specs} == {"full"}
        assert {spec.seed for spec in track.specs} == {7, 8}
    assert read_ledger(tmp_path / "small.parquet") == trials


def test_epochs_are_an_axis_for_all_and_a_reference_row_stays_apart(small_suite, runner, tmp_path):
    reference = '[[runs]]\nreference = true\nvariant = "sgd"\nepochs = 1\nweight_decay = 0.02\n'
    text = small_suite.text.replace("epochs = 1\n", "epochs = 4\n").replace(
        "seeds = [1000", "epochs = [0.1, 1.0]\nseeds = [1000"
    )
    suite, store = small_suite(text + reference), Store(tmp_path)
    assert {spec.weight_decay for spec in suite.references} == {0.02}
    trials = tune(suite, store, STRATEGIES.get("halton")(3), runner(store))
    full = {("sgd", "E"): 4, ("sgd", "G"): 8}
    for key, most in full.items():
        mine = [t for t in trials if (t.method, t.track) == key]
        assert max(t.epochs for t in mine) == most == next(t.epochs for t in mine if t.trial == 0)
        assert len({t.epochs for t in mine}) > 1
    path = tmp_path / "small.toml"
    path.write_text(final_suite(suite, trials, "small.parquet", "0" * 64, tmp_path))
    final = load_suite(str(path))
    assert final.references == suite.references
    for track in final.resolved_tracks:
        chosen = {t.method: t.epochs for t in trials if t.chosen and t.track == track.name}
        assert [spec.epochs for spec in track.specs] == list(chosen.values()) * 2
        assert not {spec.run_id for spec in final.references} & {spec.run_id for spec in track.specs}
    head, entries = path.read_text().split("[[runs]]", 1)
    path.write_text(f"{head}[[runs]]" + entries.replace("\nepochs = ", "\nepochs = 9"))
    with pytest.raises(ConfigError, match="never more"):
        load_suite(str(path))


def test_the_final_suite_is_found_and_read_wherever_it_lies(small_suite, tmp_path):
    """Data and code lie beside it as they did beside the suite; the recipe of a format is that of the trials."""
    (tmp_path / "mine.py").write_text(
        "from sambench.datasets import DATASETS\n"
        "@DATASETS.named('nothing_of_mine')\n"
        "def nothing_of_mine(place):\n    raise NotImplementedError\n"
    )
    head, entries = small_suite.text.split("[spec]")
    text = f'plugins = ["mine.py"]\n{head}[sources]\nown = "imagefolder32:data"\n[spec]\ndataset = "own"{entries}'
    reference = '[[runs]]\nreference = true\nvariant = "esam"\n[runs.hyper]\ngamma = 0.75\n'
    (tmp_path / "small.toml").write_text(f"{text}{reference}")
    suite = load_suite(str(tmp_path / "small.toml"))
    trials = [
        build_trial(entry.one.method, 0, track=entry.track.name, chosen=True, variant=entry.one.fields["variant"],
                    hyper=json.dumps(entry.one.fields["hyper"]), lr=0.1, weight_decay=0.0)
        for entry in tuned_entries(suite)
    ]  # fmt: skip
    folder = tmp_path / "r" / "suites"
    folder.mkdir(parents=True)
    (folder / "final.toml").write_text(made := final_suite(suite, trials, "small.parquet", "0" * 64, folder))
    assert str(tmp_path) not in made
    final = load_suite(str(folder / "final.toml"))
    assert [(one.name, Path(one.location.partition(":")[2]).resolve()) for one in final.sources] == [
        ("own", tmp_path / "data")
    ]
    assert {spec.augment for spec in final.specs} == {spec.augment for spec in suite.specs} == {"crop:8,flip"}
    assert [spec.hyper["gamma"] for spec in final.references] == [0.75] * len(final.references)
    assert final.references


def test_what_nothing_would_tune_is_refused_before_any_trial(small_suite):
    text = small_suite.text.replace('"E", "G"', '"G", "T"') + '[[runs]]\nvariant = "asam"\ntrack = "T"\n'
    with pytest.raises(ConfigError, match="nothing tunes asam, on track T only"):
        tuned_entries(small_suite(f"{text}[time]\nseconds = 9.0\n"))


def test_the_final_suite_says_all_that_the_suite_said(small_suite, tmp_path):
    """Track T takes the settings of another; a method has one entry where all its tracks have one setting."""
    text = small_suite.text.replace('"E", "G"', '"E", "G", "T"') + '[[runs]]\nvariant = "sam"\ntrack = "G"\n'
    suite = small_suite(f'{text}[time]\nseconds = 9.0\n[predictions]\ncost = "none"\n')
    suite = replace(suite, plugins=("sambench_plugin",))

    def chosen(method, track, **changes):
        variant = method.partition(" ")[0]
        return build_trial(method, 0, track=track, chosen=True, variant=variant, lr=0.1, weight_decay=0.0, **changes)

    trials = [
        *(chosen("sgd", track, hyper="{}", edges="lr (high)") for track in "EG"),
        chosen("unified_sam lam=0.5", "E", hyper='{"lam":0.5,"rho":0.1}'),
        chosen("unified_sam lam=0.5", "G", hyper='{"lam":0.5,"rho":0.2}'),
        chosen("esam", "E", hyper='{"rho":0.1}'),
        chosen("esam", "G", hyper='{"rho":0.1}'),
        chosen("sam", "G", hyper='{"rho":0.3}'),
    ]
    written = final_suite(suite, trials, "small.parquet", "0" * 64, tmp_path)
    found = tomllib.loads(written)
    assert (found["plugins"], found["time"], found["predictions"]) == (
        ["sambench_plugin"],
        {"seconds": 9.0},
        {"cost": "none"},
    )
    rates = {"lr": 0.1, "weight_decay": 0.0}
    assert found["runs"] == [
        {"variant": "sgd", **rates},
        {"track": "E", "variant": "unified_sam", **rates, "hyper": {"lam": 0.5, "rho": 0.1}},
        {"track": "G", "variant": "unified_sam", **rates, "hyper": {"lam": 0.5, "rho": 0.2}},
        {"track": "T", "variant": "unified_sam", **rates, "hyper": {"lam": 0.5, "rho": 0.2}},
        {"variant": "esam", **rates, "hyper": {"rho": 0.1}},
        {"track": "G", "variant": "sam", **rates, "hyper": {"rho": 0.3}},
    ]
    assert written.count("# at the edge of its range: lr (high)\n") == written.count("at the edge") == 1
    bare = tomllib.loads(
        final_suite(replace(suite, plugins=(), predictions={}, seconds=None), trials, "l", "", tmp_path)
    )
    assert not bare.keys() & {"plugins", "predictions", "time", "keep"}


def test_a_method_that_was_corrected_is_tuned_alone(tuned, runner, tmp_path):
    suite, trials, _, _ = tuned
    made, store = [], Store(tmp_path)

    def run(specs):
        made.extend(specs)
        return runner(store)(specs)

    halton = STRATEGIES.get("halton")(3)
    others = {trial.run_id: trial for trial in trials if trial.variant != "esam"}
    again = tune(suite, store, halton, run, others)
    assert {spec.variant for spec in made} == {"esam"}
    assert [trial.model_copy(update={"train_seconds": 0}) for trial in again] == [
        trial.model_copy(update={"train_seconds": 0}) for trial in trials
    ]
    made.clear()
    assert tune(suite, store, halton, run, {trial.run_id: trial for trial in trials}) == trials
    assert not made


def test_trials_that_fail_or_diverge_are_kept_and_counted(small_suite, runner, tmp_path):
    @register("explodes", summary="grows without bound", paper=None, gradients=1)
    class Explodes(StepRule):
        """Grows."""

        def update(self, closure):
            at = self.gradient(closure)
            self.descend(at.like([g * 1e30 for g in at.values]))
            return at.loss

    store = Store(tmp_path)
    text = small_suite.text.replace('"esam"', '"explodes"').replace('["E", "G"]', '["E"]')
    with pytest.raises(StateError, match="no trial of 'explodes' came to an end"):
        tune(small_suite(text), store, STRATEGIES.get("halton")(3), runner(store))

    def run(specs):
        return runner(store)([s for s in specs if s.lr == 0.1]) | {
            s.run_id: "out of memory" for s in specs if s.lr != 0.1
        }

    store = Store(tmp_path / "other")
    trials = tune(small_suite(text.replace('"explodes"', '"sam"')), store, STRATEGIES.get("halton")(3), run)
    failed = [trial for trial in trials if trial.status == "failed"]
    assert {trial.error for trial in failed} == {"out of memory"}
    assert len(failed) == 3 * (2 + 1)
    assert {(t.accuracy, t.loss, t.gradient_evaluations, t.train_seconds) for t in failed} == {(None, None, 0.0, 0.0)}
    assert all(t.gradient_evaluations > 0 and t.train_seconds > 0 for t in trials if t not in failed)
    assert {trial.trial for trial in trials if trial.chosen} == {0}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = [7, 8]", "seeds = [7, 1001]", r"seeds \[1001\] are used for tuning and for final runs"),
        ('"esam"', '"esam"\nlr = 0.2', "number 3 fixes 'lr', which is tuned for every method alike"),
        ('"esam"', '"esam"\ntrials = 9', "number 3 asks for trials=9 of its own: budgets are equal"),
        ('"esam"', '"sgd"', "two entries are called 'sgd'"),
        ('"esam"', '"esam"\nbase = "adamw"', "do not share a range of learning rates"),
        (
            "trials = 3",
            'trials = 3\nweight_decay = { adamw = [1e-3, 1, "log"] }',
            r"for \['adamw'\], .* bases \['sgd'\]",
        ),
        (
            "trials = 3",
            'trials = 3\nweight_decay = { sgd = [1, 1e-3, "log"] }',
            r"weight_decay\.bases\.sgd=.* low < high",
        ),
        ("trials = 3", "trails = 3", r"\[tuning\] trails"),
        ("finalists = 2", "finalists = 4", "finalists=4 is more than trials=3"),
    ],
)
def test_unequal_budgets_are_refused_before_anything_runs(small_suite, old, new, message):
    with pytest.raises(ConfigError, match=message):
        small_suite(small_suite.text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("[tuning]", "[sources]\n[unused]", "cannot be used"), ('["E", "G"]', "[]", "has no track to tune on")],
)
def test_what_cannot_be_tuned_says_what_is_missing(small_suite, old, new, message):
    with pytest.raises(ConfigError, match=message):
        tuned_entries(small_suite(small_suite.text.replace(old, new)))


def test_ties_of_finalists_go_to_the_lower_loss_and_then_to_the_first(tuned):
    screened = [trial for trial in tuned[1] if trial.track == "E" and trial.method == "sgd" and trial.stage == "screen"]
    same = [
        trial.model_copy(update={"accuracy": 0.5, "loss": loss})
        for trial, loss in zip(screened, (2, 1, 1), strict=True)
    ]
    assert finalists(same, 2) == [1, 2]


def test_optuna_learns_from_scores_and_repeats_itself():
    axes = (Axis("lr", 0.01, 1.0, "log"), Axis("k", values=(1, 2, 3)))
    method = STRATEGIES.get("optuna")(9)
    tried = []
    for number in range(30):
        settings = method.propose(axes, number + 1, tried)
        assert settings == method.propose(axes, number + 1, tried)
        assert 0.01 <= settings["lr"] <= 1.0
        tried.append(Tried(settings, 1.0 - abs(settings["lr"] - 0.3) - 0.2 * (settings["k"] != 2)))
    late = [t.score for t in tried[15:]]
    assert sum(late) / len(late) > sum(t.score for t in tried[:5]) / 5
    for outside in ({"lr": 3.0, "k": 2}, {"lr": 0.1, "k": 9}):
        assert method.propose(axes, 2, [Tried(outside, 0.5)]) == method.propose(axes, 2, [])


@pytest.mark.parametrize(("scale", "median"), [("log", 0.01), ("linear", 0.5)])
def test_optuna_proposes_on_the_scale_of_the_range(scale, median):
    """Before it has learned anything, half of its proposals lie below the middle of that scale."""
    method, axes = STRATEGIES.get("optuna")(99), (Axis("x", 1e-4, 1.0, scale),)
    found = [method.propose(axes, number, [])["x"] for number in range(1, 41)]
    assert 10 <= sum(x < median for x in found) <= 30


@pytest.mark.parametrize(("trials", "at_random"), [(3, 2), (6, 2), (10, 3), (12, 4)])
def test_optuna_learns_after_a_third_of_the_trials_and_two_at_least(trials, at_random):
    method, axes = STRATEGIES.get("optuna")(trials), (Axis("x", 0.0, 1.0, "linear"),)
    tried = [Tried({"x": 0.1 * n}, 0.1 * n) for n in range(6)]
    alone = [method.propose(axes, number, []) for number in range(1, 6)]
    for count in range(6):
        same = [method.propose(axes, number, tried[:count]) for number in range(1, 6)] == alone
        assert same == (count < at_random)


@pytest.mark.parametrize("name", ["halton", "optuna"])
def test_a_strategy_is_sequential_where_its_proposals_depend_on_what_was_tried(name):
    method, axes = STRATEGIES.get(name)(3), (Axis("x", 0.0, 1.0, "linear"),)
    tried = [Tried({"x": 0.1 * n}, 0.1 * n) for n in range(6)]
    same = [method.propose(axes, number, tried) == method.propose(axes, number, []) for number in range(1, 6)]
    assert any(same) is not method.sequential
    assert all(same) is not method.sequential


def test_optunas_proposals_differ_and_have_four_digits():
    method, axes = STRATEGIES.get("optuna")(999), (Axis("x", 0.0, 1.0, "linear"), Axis("k", values=(10001, 20002)))
    found = [method.propose(axes, number, []) for number in range(1, 41)]
    assert len({one["x"] for one in found}) == 40
    assert all(one["x"] == float(f"{one['x']:.4g}") for one in found)
    assert {one["k"] for one in found} == {10001, 20002}


def test_optuna_tunes_a_suite_in_rounds(small_suite, runner, tmp_path):
    store = Store(tmp_path)
    suite = small_suite(small_suite.text.replace('["E", "G"]', '["E"]'))
    path = tmp_path / "ledgers" / f"small{ENDING}"
    trials = tune(suite, store, STRATEGIES.get("optuna")(3), runner(store), keep=StudyFile(path).keep)
    assert {trial.search for trial in trials} == {"optuna"}
    found = studies(path)
    again = runner(store)
    assert tune(suite, store, STRATEGIES.get("optuna")(3), again, keep=StudyFile(path).keep) == trials
    assert again.made == []
    assert studies(path) == found
    assert found == {
        f"{method}, track E": {
            trial.run_id: (trial.accuracy, trial.lr, trial.seed) for trial in trials if trial.method == method
        }
        for method in {trial.method for trial in trials}
    }
    StudyFile(path).keep("another", "E", (), [])
    tune(suite, store, STRATEGIES.get("optuna")(3), again, keep=StudyFile(path).keep)
    assert studies(path) == found | {"another, track E": {}}
    path.write_bytes(path.read_bytes()[:-20] + b"{no json\n")
    tune(suite, store, STRATEGIES.get("optuna")(3), again, keep=StudyFile(path).keep)
    assert studies(path) == found


def studies(path):
    """Read a kept file as Optuna's dashboard does: study -> run -> value, learning rate and seed of its trial."""
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    return {
        name: {
            trial.user_attrs["run"]: (trial.value, trial.params["lr"], trial.user_attrs["seed"])
            for trial in optuna.load_study(study_name=name, storage=storage).trials
        }
        for name in optuna.get_all_study_names(storage)
    }


def test_a_default_outside_of_its_range_and_a_failed_trial_are_kept(tmp_path, caplog):
    axes = (Axis("lr", 0.01, 1.0, "log"), Axis("k", values=(1, 2)), Axis("rho", 0.0, 1.0, "linear"))
    trials = [build_trial("sam", 0), build_trial("sam", 1, status="failed", accuracy=None, loss=None, error="e")]
    settings = [{"lr": 3.0, "k": 9, "rho": 0.5}, {"lr": 0.0, "k": 1, "rho": 0.0}]
    made = list(zip(trials, settings, strict=True))
    StudyFile(tmp_path / "x.log").keep("sam", "E", axes, made)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / "x.log")))
    first, second = optuna.load_study(study_name="sam, track E", storage=storage).trials
    assert first.params == settings[0]
    assert (first.distributions["lr"].log, first.distributions["rho"].log) == (True, False)
    assert (first.distributions["lr"].low, first.distributions["lr"].high) == (0.01, 3.0)
    assert first.distributions["k"].choices == (1, 2, 9)
    assert second.params == {"k": 1, "rho": 0.0}
    assert (second.state.name, second.value) == ("FAIL", None)
    (tmp_path / "folder.log").mkdir()
    StudyFile(tmp_path / "folder.log").keep("sam", "E", axes, made)
    assert "folder.log is not written" in caplog.text


def test_a_missing_package_and_an_unknown_method_are_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'sambench\[tune\]'"):
        STRATEGIES.get("optuna")(3)
    with pytest.raises(ConfigError, match="did you mean 'halton'"):
        STRATEGIES.get("haltn")(3)
