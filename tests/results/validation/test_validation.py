"""Validation: a folder that keeps the rules has no findings; each broken rule gives a finding of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic import build_record, build_trial

from sambench.errors import StateError
from sambench.results.records.behaviour import Code
from sambench.results.records.manifest import Calibration, SuiteManifest, Track, Tuning
from sambench.results.records.record import RunRecord
from sambench.results.records.retractions import RETRACTED
from sambench.results.records.store import Store
from sambench.results.records.trials import write_ledger
from sambench.results.tables.tiers import VERIFICATION
from sambench.results.validation import Finding, validate

SEEDS = (0, 1, 2)
OFFICIAL = {"cifar10": None, "digits": build_record().dataset_fingerprint}
TODAY = {name: Code(build_record(variant=name).variant_source) for name in ("sgd", "sam")}


class Folder:
    """A contribution that keeps every rule, until a test changes something."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.records = {
            f"{variant} {epochs} {seed}": build_record(variant=variant, epochs=epochs, seed=seed)
            for variant, epochs in (("sam", 4), ("sgd", 4), ("sgd", 8))
            for seed in SEEDS
        }
        self.trials = [
            build_trial(method, number, chosen=number == 1) for method in ("sam", "sgd") for number in range(2)
        ]
        self.manifest: dict[str, Any] = {
            "name": "s", "title": "S", "description": "", "command": "sambench launch s", "seeds": SEEDS,
            "tracks": [self.track("E", 4, "sam 4", "sgd 4"), self.track("G", 8, "sam 4", "sgd 8")],
        }  # fmt: skip

    def track(self, name: str, budget: float, *methods: str, **more: Any) -> Track:
        runs = tuple(self.records[f"{method} {seed}"].run_id for method in methods for seed in SEEDS)
        return Track.model_validate({"name": name, "budget": budget, "runs": runs} | more)

    def replace(self, name: str, **changes: Any) -> RunRecord:
        """Change fields of a record, without touching its spec."""
        data = self.records[name].model_dump(mode="json")
        merged = {key: data[key] | value if isinstance(value, dict) else value for key, value in changes.items()}
        self.records[name] = RunRecord.model_validate(data | merged)
        return self.records[name]

    def path(self, name: str) -> Path:
        return Store(self.root).path(self.records[name].run_id)

    def file(self, name: str) -> str:
        return self.path(name).relative_to(self.root).as_posix()

    def write(self) -> None:
        store = Store(self.root)
        for record in self.records.values():
            store.write(record)
        digest = write_ledger(self.trials, self.root / "ledgers" / "s.parquet")
        manifest = SuiteManifest.model_validate({"tuning": Tuning(ledger="s.parquet", sha256=digest)} | self.manifest)
        (self.root / "suites").mkdir(exist_ok=True)
        (self.root / "suites" / "s.json").write_text(manifest.model_dump_json())

    def findings(self) -> list[Finding]:
        return validate(self.root, TODAY, OFFICIAL)

    def only(self, serious: bool = True) -> Finding:
        (finding,) = self.findings()
        assert finding.serious == serious
        assert all((finding.file, finding.value, finding.problem, finding.way_out))
        return finding


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_folder_that_keeps_the_rules_has_no_findings(folder: Folder) -> None:
    folder.write()
    assert folder.findings() == []


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no folder of records"):
        validate(tmp_path, TODAY, OFFICIAL)


def edit(key: str, value: Any) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | {key: value})


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text[:100], "invalid JSON"),
        (edit("curve", "none"), "curve"),
        (edit("surprise", 1), "surprise"),
        (edit("schema_version", 2), "schema_version"),
        (lambda text: text.replace('"lr":0.1,', '"lr":0.2,', 1), "is not the hash of the spec"),
        (lambda text: text.replace('"accuracy":0.95', '"accuracy":0.99'), "correct of 400, accuracy says 0.99"),
    ],
)
def test_schema_and_hashes(folder: Folder, damage: Callable[[str], str], problem: str) -> None:
    folder.write()
    path = folder.path("sgd 8 0")
    path.write_text(damage(path.read_text()))
    first, second = folder.findings()
    assert (first.file, second.file) == (folder.file("sgd 8 0"), "suites/s.json")
    assert problem in first.problem
    assert "promised and not there" in second.problem


def test_a_record_under_another_name(folder: Folder) -> None:
    folder.write()
    path = folder.path("sgd 8 0")
    path.rename(path.with_name("0" * 64 + ".json"))
    assert [finding.problem.partition(" of ")[0] for finding in folder.findings()] == [
        "it holds the record",
        "promised and not there (the first is " + folder.records["sgd 8 0"].run_id[:12] + "; 0",
    ]


def test_seeds_that_tuning_used(folder: Folder) -> None:
    folder.trials = [
        build_trial(method, number, seed=2, chosen=number == 1) for method in ("sam", "sgd") for number in range(2)
    ]
    folder.write()
    finding = folder.only()
    assert (finding.file, finding.value) == ("suites/s.json", "seeds = 2")
    assert "tuning used them" in finding.problem


def test_unequal_tuning_budgets(folder: Folder) -> None:
    folder.trials.append(build_trial("sam", 2, accuracy=0.5))
    folder.write()
    finding = folder.only()
    assert finding.file == "ledgers/s.parquet"
    assert "unequal budgets" in finding.problem
    assert "sam: 3 halton screen at seed 1000" in finding.problem


def test_a_ledger_that_is_not_the_one_that_chose(folder: Folder) -> None:
    folder.write()
    write_ledger(folder.trials[::-1], folder.root / "ledgers" / "s.parquet")
    assert "is not the one that chose the settings" in folder.only().problem


def test_a_ledger_that_cannot_be_read(folder: Folder) -> None:
    folder.write()
    (folder.root / "ledgers" / "s.parquet").write_text("no Parquet")
    assert folder.only().value == "the ledger"


def test_settings_that_no_tuning_chose(folder: Folder) -> None:
    folder.trials = [
        build_trial(method, n, chosen=(method, n) == ("sgd", 1)) for method in ("sam", "sgd") for n in (0, 1)
    ]
    folder.write()
    found = {finding.file: finding for finding in folder.findings()}
    ledger = found.pop("ledgers/s.parquet")
    assert (ledger.value, ledger.serious) == ("track G, sam: chosen = none", True)
    assert ledger.problem.endswith("it is trial 1")
    assert found.keys() == {folder.file(f"sam 4 {seed}") for seed in SEEDS}
    assert all("chose no such setting" in finding.problem for finding in found.values())


def test_a_choice_that_contradicts_the_trials(folder: Folder) -> None:
    folder.trials = [trial.model_copy(update={"chosen": trial.trial == 0}) for trial in folder.trials]
    folder.write()
    first, second = folder.findings()
    assert (first.value, second.value) == ("track G, sam: chosen = 0", "track G, sgd: chosen = 0")
    assert first.serious


def test_trials_made_with_another_source(folder: Folder) -> None:
    stale = {"variant_source": "c" * 64}
    folder.trials = [trial.model_copy(update=stale if trial.method == "sam" else {}) for trial in folder.trials]
    folder.write()
    finding = folder.only(serious=False)
    assert (finding.file, finding.value) == ("ledgers/s.parquet", "sam: variant_source = cccccccccccc")
    assert TODAY["sam"].source[:12] in finding.problem


def test_settings_of_the_base_that_nobody_tuned(folder: Folder) -> None:
    folder.records |= {f"asam 4 {seed}": build_record(variant="sgd", lr=0.3, epochs=4, seed=seed) for seed in SEEDS}
    folder.manifest |= {"tracks": [folder.track("E", 4, "sam 4", "asam 4")], "tuning": None}
    folder.write()
    finding = folder.only()
    assert "lr=0.1 " in finding.value
    assert "lr=0.3 " in finding.value
    assert finding.problem == "methods differ in what no search has chosen"


def test_a_damaged_manifest_hides_no_other(folder: Folder) -> None:
    folder.write()
    folder.path("sam 4 2").unlink()
    (folder.root / "suites" / "a.json").write_text("{}")
    assert [finding.file for finding in folder.findings()] == ["suites/a.json", "suites/s.json"]


@pytest.mark.parametrize(
    ("track", "budget", "value"),
    [("E", 5.0, "spent 4 epochs"), ("G", 6.5, "spent 8 passes"), ("G", 14, "spent 8 pass")],
)
def test_budgets(folder: Folder, track: str, budget: float, value: str) -> None:
    methods = {"E": ("sam 4", "sgd 4"), "G": ("sam 4", "sgd 8")}[track]
    folder.manifest["tracks"] = [folder.track(track, budget, *methods)]
    folder.write()
    found = [finding for finding in folder.findings() if "budget" in finding.problem]
    assert len(found) == 6
    assert all(value in finding.value and f"track {track} is {budget:g}" in finding.problem for finding in found)


def test_whole_epochs_may_leave_part_of_the_budget(folder: Folder) -> None:
    folder.manifest["tracks"] = [folder.track("G", 9.5, "sam 4")]
    folder.write()
    assert not [finding for finding in folder.findings() if "budget" in finding.problem]


@pytest.mark.parametrize(
    ("name", "budget", "runs", "value"),
    [
        ("G", 8, ("sam 4", "sgd 4"), ""),
        ("G", 7.5, ("sam 4", "sgd 4"), ""),
        ("G", 7, ("sam 4", "sgd 4"), "sam seed 0 spent 8 passes"),
        ("G", 8, ("sam 4", "sgd 8"), "sgd seed 0 spent 8 passes"),
        ("E", 4, ("sam 4", "sgd 4"), ""),
        ("E", 8, ("sam 4", "sgd 4"), ""),
        ("E", 3.9, ("sam 4", "sgd 4"), "sam seed 0 spent 4 epochs"),
    ],
    ids=["less is chosen", "a little more", "too much", "not those chosen", "all", "half", "more than all"],
)
def test_epochs_that_a_search_chose(
    folder: Folder, name: str, budget: float, runs: tuple[str, ...], value: str
) -> None:
    """A run may leave part of its budget where epochs were an axis of the search; only the chosen ones will do."""
    folder.trials = [
        build_trial(method, number, chosen=number == 1, track=name, epochs=(8, 4)[number])
        for method in ("sam", "sgd")
        for number in range(2)
    ]
    folder.manifest["tracks"] = [folder.track(name, budget, *runs)]
    folder.write()
    found = [finding for finding in folder.findings() if "budget" in finding.problem]
    if not value:
        assert folder.findings() == []
        return
    assert value in {finding.value for finding in found} | {f.value.rsplit(" forward")[0] for f in found}
    variants = {finding.value.split()[0] for finding in found}
    assert variants == ({"sam", "sgd"} if name == "E" else {value.split()[0]})


def test_epochs_of_another_tracks_search_are_no_choice(folder: Folder) -> None:
    folder.trials = [
        build_trial(method, number, chosen=number == 1, track="E", epochs=(8, 4)[number])
        for method in ("sam", "sgd")
        for number in range(2)
    ]
    folder.manifest["tracks"] = [folder.track("G", 8, "sam 4", "sgd 4")]
    folder.write()
    assert {f.value for f in folder.findings()} == {
        f"sgd seed {seed} spent 4 passes forward and backward" for seed in SEEDS
    }


def calibration(host: str = "0123456789abcdef") -> Calibration:
    return Calibration(device_name="a CPU", threads=2, host=host, torch="2.11.0", seconds={"sam": 1.0}, turns=3)


def test_mixed_hardware_in_track_t(folder: Folder) -> None:
    folder.manifest["tracks"] = [folder.track("T", 4.0, "sam 4", "sgd 8", calibration=calibration())]
    folder.replace("sam 4 1", environment={"device_name": "a GPU", "host": "ffffffffffff"})
    folder.write()
    finding = folder.only()
    assert (finding.file, finding.value) == (folder.file("sam 4 1"), "a GPU, 2 threads, host ffffffffffff")
    assert "the others ran on a CPU, 2 threads, host 0123456789abcdef" in finding.problem
    folder.manifest["tracks"] = [folder.track("G", 8.0, "sam 4", "sgd 8")]
    folder.write()
    assert folder.findings() == []


def test_missing_runs(folder: Folder) -> None:
    folder.write()
    folder.path("sam 4 2").unlink()
    finding = folder.only()
    assert (finding.file, finding.value) == ("suites/s.json", "1 of 9 runs")
    assert "`sambench launch s --results " in finding.way_out
    Store(folder.root).write(build_record(variant="sam", epochs=4, seed=2, status="failed"))
    assert "1 of them failed" in folder.only().problem


def test_seeds_that_the_suite_did_not_promise(folder: Folder) -> None:
    folder.manifest["seeds"] = (0, 1)
    folder.write()
    found = folder.findings()
    assert len(found) == 4
    assert {finding.value for finding in found} == {
        f"track {track}, {name}: seeds 0, 1, 2" for track in "EG" for name in ("sam", "sgd")
    }


@pytest.mark.parametrize("untracked", [False, True])
def test_promised_seeds_that_a_method_lacks(folder: Folder, untracked: bool) -> None:
    runs = [run.run_id for name, run in folder.records.items() if name != "sgd 4 2" and not name.startswith("sgd 8")]
    track = folder.track("E", 4, "sam 4").model_copy(update={"runs": tuple(runs)})
    folder.records = {name: record for name, record in folder.records.items() if record.run_id in runs}
    folder.manifest |= {"tracks": [], "loose": runs} if untracked else {"tracks": [track]}
    folder.write()
    finding = folder.only(serious=not untracked)
    assert finding.value == f"{'' if untracked else 'track E, '}sgd: seeds 0, 1"
    assert finding.problem == "the suite promised seeds 0, 1, 2"


def test_duplicate_seeds(folder: Folder) -> None:
    folder.records["again"] = build_record(variant="sam", epochs=4, seed=1, eval_every=2)
    folder.write()
    finding = folder.only()
    assert finding.value == "seed = 1"
    assert finding.file in (folder.file("again"), folder.file("sam 4 1"))
    assert "has this seed twice" in finding.problem


def test_unequal_seeds_of_runs_that_no_suite_promised(folder: Folder) -> None:
    folder.records |= {f"asam {seed}": build_record(variant="sgd", lr=0.3, seed=seed) for seed in (0, 1)}
    folder.write()
    finding = folder.only(serious=False)
    assert finding.value == "sgd: seeds 0, 1"
    assert "also ran seeds 2" in finding.problem


def test_a_stale_variant(folder: Folder) -> None:
    folder.write()
    found = validate(folder.root, TODAY | {"sam": Code("f" * 64)}, OFFICIAL)
    assert [finding.file for finding in found] == [min(folder.file(f"sam 4 {seed}") for seed in SEEDS) + " and 2 more"]
    assert found[0].problem == "stale: the source of 'sam' is now ffffffffffff"
    assert not found[0].serious
    assert "not registered" in validate(folder.root, {"sgd": TODAY["sgd"]}, OFFICIAL)[0].problem


def test_a_variant_whose_text_alone_has_changed_is_not_stale(folder: Folder) -> None:
    edited = {"sam": Code("f" * 64, "same"), "sgd": TODAY["sgd"]}
    for seed in SEEDS:
        folder.replace(f"sam 4 {seed}", environment={"behaviour": "same"})
    folder.write()
    assert validate(folder.root, edited, OFFICIAL) == []
    (finding,) = validate(folder.root, edited | {"sam": Code(TODAY["sam"].source, "another")}, OFFICIAL)
    assert (finding.value, finding.serious) == ("behaviour = same", False)
    assert finding.problem == "stale: the behaviour of 'sam' is now another"


def test_records_without_a_commit(folder: Folder) -> None:
    folder.replace("sam 4 0", environment={"dirty": True})
    folder.replace("sam 4 1", environment={"commit": None, "dirty": None})
    folder.write()
    assert sorted(finding.value for finding in folder.findings()) == ["commit = 0123456789ab, dirty", "commit = none"]


@pytest.mark.parametrize(("other", "problems"), [("a", 0), ("b", 1)])
def test_an_installed_release_is_code_that_can_be_found(folder: Folder, other: str, problems: int) -> None:
    for name, source in (("sam 4 0", "a"), ("sam 4 1", other)):
        folder.replace(name, environment={"commit": None, "dirty": None, "source": source * 64})
    folder.write()
    found = folder.findings()
    assert len(found) == problems
    assert all(one.problem.startswith("other code under the version ") and not one.serious for one in found)


def test_runs_that_held_data_out(folder: Folder) -> None:
    held_out = [build_record(variant="asam", hyper={}, split="holdout", seed=seed) for seed in SEEDS]
    folder.records |= {f"asam 4 {record.spec['seed']}": record for record in held_out}
    folder.manifest |= {"tracks": [folder.track("E", 4, "asam 4")], "tuning": None}
    for record in list(folder.records):
        folder.replace(record, metrics={"split": "test"})
    folder.write()
    found = validate(folder.root, TODAY | {"asam": Code(held_out[0].variant_source)}, OFFICIAL)
    assert [finding.value for finding in found] == ["split = 'holdout'"]
    assert found[0].file.endswith(" and 2 more")


def test_a_run_that_stopped_early_or_was_measured_on_the_wrong_part(folder: Folder) -> None:
    early = folder.replace("sgd 8 0", metrics={"split": "validation"})
    folder.records["sgd 8 1"] = folder.records["sgd 8 1"].model_copy(
        update={"curve": folder.records["sgd 8 1"].curve[:7]}
    )
    folder.write()
    values = {finding.file: finding.value for finding in folder.findings() if "epoch" not in finding.value}
    assert values[f"runs/{early.run_id}.json"] == "metrics.split = 'validation'"
    assert "last epoch = 7" in {finding.value for finding in folder.findings()}


def test_a_cost_that_is_not_the_declared_one(folder: Folder) -> None:
    folder.replace("sam 4 0", declared_gradients=1.5)
    folder.write()
    finding = folder.only(serious=False)
    assert finding.value == "2 gradient evaluations a step"
    assert "declares 1.5" in finding.problem


def test_a_cost_that_is_drawn_at_random_counts_with_the_mean_of_its_runs(folder: Folder) -> None:
    steps = folder.records["sam 4 0"].counters.steps
    for seed, cost in enumerate((1.9, 2.0, 2.1)):
        folder.replace(f"sam 4 {seed}", counters={"gradient_evaluations": cost * steps})
    folder.write()
    assert folder.findings() == []


def test_data_of_a_reserved_name_are_the_official_ones(folder: Folder) -> None:
    folder.write()
    found = validate(folder.root, TODAY, {"digits": "0" * 64})
    assert {(f.serious, f.problem) for f in found} == {(True, "not the official digits, which has 000000000000")}


def test_data_of_a_reserved_name_that_nobody_here_has_held_are_not_vouched_for(folder: Folder) -> None:
    folder.write()
    found = validate(folder.root, TODAY, {"digits": None})
    assert {(f.serious, f.problem) for f in found} == {(False, "nothing here knows that of digits")}


def test_other_data_under_one_name(folder: Folder) -> None:
    folder.replace("sam 4 0", dataset_fingerprint="e" * 64)
    folder.write()
    found = [finding for finding in folder.findings() if "other data under the name 'digits'" in finding.problem]
    assert found


def test_reruns_and_retractions_that_belong_to_nothing(folder: Folder) -> None:
    folder.write()
    again = Store(folder.root / VERIFICATION)
    again.write(folder.records["sam 4 0"])
    again.write(build_record(variant="sam", seed=77, host="f" * 12))
    (folder.root / RETRACTED).write_text(
        f'[[retracted]]\nruns = ["{"0" * 64}"]\nreason = "never existed"\ndate = "2026-11-20"\n'
    )
    problems = {finding.problem for finding in folder.findings()}
    assert problems == {
        "it was made on the machine of the original, so that it verifies nothing",
        "there is no such run to verify",
        "there is no record of this run",
    }


def test_damaged_promises_and_retractions(folder: Folder) -> None:
    folder.write()
    (folder.root / RETRACTED).write_text("[[retracted]\n")
    (folder.root / "suites" / "s.json").write_text("{}")
    assert {finding.file for finding in folder.findings()} == {RETRACTED, "suites/s.json"}


def test_serious_findings_come_first(folder: Folder) -> None:
    folder.replace("sam 4 0", environment={"dirty": True})
    folder.write()
    folder.path("sgd 4 0").unlink()
    assert [finding.serious for finding in folder.findings()] == [True, False]
