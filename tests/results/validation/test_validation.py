"""Validation: a folder that keeps the rules has no findings; each broken rule gives a finding of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic import build_measurement, build_record, build_trial

from sambench.errors import StateError
from sambench.results.records.behaviour import Code
from sambench.results.records.manifest import Calibration, SuiteManifest, Track, Tuning
from sambench.results.records.measurement import Measurements
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


def test_where_nothing_was_chosen_no_run_can_miss_it(folder: Folder) -> None:
    folder.trials = [trial.model_copy(update={"chosen": False}) for trial in folder.trials]
    folder.write()
    assert [finding.value for finding in folder.findings()] == [
        "track G, sam: chosen = none", "track G, sgd: chosen = none",
    ]  # fmt: skip


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
    assert finding.problem == f"its runs were made with the source {TODAY['sam'].source[:12]}"


def test_settings_of_the_base_that_nobody_tuned(folder: Folder) -> None:
    folder.records |= {f"asam 4 {seed}": build_record(variant="sgd", lr=0.3, epochs=4, seed=seed) for seed in SEEDS}
    folder.manifest |= {"tracks": [folder.track("E", 4, "sam 4", "asam 4")], "tuning": None}
    folder.write()
    finding = folder.only()
    assert "lr=0.1 " in finding.value
    assert "lr=0.3 " in finding.value
    assert finding.problem == "methods differ in what no search has chosen"


def test_settings_that_every_variant_has_are_what_is_compared(folder: Folder) -> None:
    folder.records = {
        f"{variant} {lr} {seed}": build_record(variant=variant, lr=lr, epochs=4, seed=seed)
        for variant in ("sgd", "sam")
        for lr in (0.1, 0.3)
        for seed in SEEDS
    }
    names = ["sgd 0.1", "sgd 0.3", "sam 0.1", "sam 0.3"]
    folder.manifest |= {"tracks": [folder.track("E", 4, *names)], "tuning": None}
    folder.write()
    assert folder.findings() == []
    folder.manifest |= {"tracks": [folder.track("E", 4, *names[:3])]}
    folder.write()
    assert "methods differ in what no search has chosen" in {finding.problem for finding in folder.findings()}


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


@pytest.mark.parametrize(
    ("budget", "cost", "kept"),
    [(10, 2.75, True), (10, 2.76, False), (12.5, 2.26, True), (12.5, 2.25, False)],
    ids=["a tenth more", "more", "a tenth and less than an epoch unspent", "a tenth and an epoch unspent"],
)
def test_the_bounds_of_a_budget_of_passes(folder: Folder, budget: float, cost: float, kept: bool) -> None:
    """Four epochs of 44 steps cost four times as much as a step; one epoch as much as it."""
    folder.manifest["tracks"] = [folder.track("G", budget, "sam 4")]
    for seed in SEEDS:
        folder.replace(f"sam 4 {seed}", counters={"gradient_evaluations": 44 * cost})
    folder.write()
    found = [finding for finding in folder.findings() if "budget" in finding.problem]
    assert len(found) == (0 if kept else 3)


@pytest.mark.parametrize(("seconds", "kept"), [(11.5, True), (11.6, False), (5.2, True), (5.0, False)])
def test_the_bounds_of_a_budget_of_time(folder: Folder, seconds: float, kept: bool) -> None:
    """Of 7.5 s, 15 % and an epoch more or less; an epoch is a quarter of the run: 11.5 - 7.5 = 1.125 + 11.5 / 4."""
    folder.manifest["tracks"] = [folder.track("T", 7.5, "sam 4", calibration=calibration())]
    for seed in SEEDS:
        folder.replace(f"sam 4 {seed}", timing={"train_seconds": seconds})
    folder.write()
    assert sorted(finding.value for finding in folder.findings()) == (
        [] if kept else [f"sam seed {seed} spent {seconds:g} seconds" for seed in SEEDS]
    )


def test_a_run_of_one_epoch_may_leave_less_than_that(folder: Folder) -> None:
    """It spends 2 of 4.4: one more would be 4, within a tenth. One step that costs 2 is a whole run, too."""
    folder.records |= {f"sam 1 {seed}": build_record(variant="sam", epochs=1, seed=seed) for seed in SEEDS}
    folder.manifest["tracks"] = [folder.track("G", 4.4, "sam 1")]
    folder.replace("sam 1 0", counters={"steps": 1, "gradient_evaluations": 2.0})
    folder.write()
    assert not [one for one in folder.findings() if "budget" in one.problem or "declares" in one.problem]


def test_a_growing_batch_is_counted_in_batches_of_the_first_size(folder: Folder) -> None:
    """Two epochs of 11 steps, then two of 11 with twice the batch: 11 · (1 + 1 + 2 + 2) first batches."""
    schedule = {"batch_schedule": "doubling", "milestones": [0.5]}
    for seed in SEEDS:
        folder.records[f"sam 2x {seed}"] = build_record(variant="sam", epochs=4, seed=seed, **schedule)
        folder.replace(f"sam 2x {seed}", counters={"gradient_evaluations": 2.0 * 66})
    folder.manifest |= {"tracks": [folder.track("G", 8, "sam 2x")], "tuning": None}
    folder.write()
    assert folder.findings() == []


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


def test_all_runs_on_another_machine_than_the_one_that_was_timed(folder: Folder) -> None:
    folder.manifest["tracks"] = [folder.track("T", 4.0, "sam 4", calibration=calibration("e" * 16))]
    folder.write()
    finding = folder.only()
    assert finding.value == "a CPU, 2 threads, host 0123456789abcdef"
    assert finding.problem.endswith("the others ran on a CPU, 2 threads, host eeeeeeeeeeeeeeee")
    assert finding.file.endswith(" and 2 more")


def test_without_a_calibration_most_runs_say_which_device_it_was(folder: Folder) -> None:
    folder.manifest["tracks"] = [folder.track("T", 4.0, "sam 4")]
    folder.replace("sam 4 0", environment={"device_name": "a GPU", "devices": 2})
    folder.write()
    finding = folder.only()
    assert (finding.file, finding.value) == (folder.file("sam 4 0"), "2 x a GPU, 2 threads, host 0123456789abcdef")
    assert finding.problem.endswith("the others ran on a CPU, 2 threads, host 0123456789abcdef")


def test_a_track_of_time_without_a_run_says_no_more_than_that(folder: Folder) -> None:
    folder.manifest["tracks"] = [folder.track("T", 4.0, "sam 4")]
    folder.records = {name: one for name, one in folder.records.items() if not name.startswith("sam")}
    folder.write()
    assert folder.only().value == "3 of 3 runs"


@pytest.mark.parametrize(
    ("registered", "began", "early"),
    [(100.0, (100.0, 101.0, 200.0), 0), (100.0, (99.0, 101.0, None), 2), (None, (100.0, 101.0, 102.0), 3)],
)
def test_runs_that_began_before_they_were_predicted(
    folder: Folder, registered: float | None, began: tuple[float | None, ...], early: int
) -> None:
    folder.manifest |= {"tracks": [folder.track("E", 4, "sam 4")], "registered": registered}
    for seed, at in enumerate(began):
        folder.replace(f"sam 4 {seed}", timing={"began": at})
    folder.write()
    assert folder.findings() == []  # nothing was predicted
    folder.manifest["predictions"] = {"one": "more", "two": "less"}
    folder.write()
    found = folder.findings()
    assert [finding.value for finding in found] == ["predictions of one, two"] * bool(early)
    assert all(finding.problem.startswith(f"{early} of 3 runs (the first is ") for finding in found)


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
    folder.records |= {f"sam 6 {seed}": build_record(variant="sam", epochs=6, seed=seed) for seed in SEEDS}
    folder.records["again"] = build_record(variant="sam", epochs=6, seed=1, eval_every=2)
    folder.write()
    finding = folder.only()
    assert finding.value == "seed = 1"
    assert finding.file in (folder.file("again"), folder.file("sam 6 1"))
    assert "has this seed twice" in finding.problem


@pytest.mark.parametrize("suites", [0, 1, 2])
def test_a_seed_that_counts_in_another_table_is_not_twice(folder: Folder, suites: int) -> None:
    again = [build_record(variant="sam", epochs=4, seed=seed, eval_every=2) for seed in SEEDS]
    folder.records |= {f"again {record.spec['seed']}": record for record in again}
    folder.write()
    for name in "tu"[:suites]:
        manifest = {
            "name": name,
            "title": name,
            "description": "",
            "command": "sambench launch t",
            "seeds": SEEDS,
            "tracks": [],
        }
        found = SuiteManifest.model_validate(manifest | {"untracked": [record.run_id for record in again]})
        (folder.root / "suites" / f"{name}.json").write_text(found.model_dump_json())
    assert folder.findings() == []


def test_a_seed_twice_counts_only_among_runs_of_tables(folder: Folder) -> None:
    more = {
        f"{split} {status} {seed}": build_record(variant="sam", eval_every=2, split=split, seed=seed, status=status)
        for split, status in (("full", "failed"), ("search", "completed"))
        for seed in (0, 1, 7)
    }
    more |= {f"search {seed}": build_record(variant="sam", split="search", seed=seed) for seed in (0, 1)}
    folder.records |= more
    folder.write()
    assert folder.findings() == []


@pytest.mark.parametrize(("number", "rest"), [(8, ""), (9, " and 1 more")])
def test_eight_seeds_are_listed(folder: Folder, number: int, rest: str) -> None:
    fields = {"variant": "sgd", "dataset": "made"}
    folder.records |= {f"a {seed}": build_record(lr=0.3, seed=seed, **fields) for seed in range(3 + number)}
    folder.records |= {f"b {seed}": build_record(lr=0.4, seed=seed, **fields) for seed in SEEDS}
    folder.write()
    finding = folder.only(serious=False)
    assert (finding.value, finding.problem) == (
        "sgd: seeds 0, 1, 2", f"other methods on this workload also ran seeds 3, 4, 5, 6, 7, 8, 9, 10{rest}",
    )  # fmt: skip


def test_unequal_seeds_of_runs_that_no_suite_promised(folder: Folder) -> None:
    folder.records |= {f"asam {seed}": build_record(variant="sgd", lr=0.3, seed=seed) for seed in (0, 1)}
    folder.write()
    finding = folder.only(serious=False)
    assert finding.value == "sgd: seeds 0, 1"
    assert "also ran seeds 2" in finding.problem


def test_runs_of_no_suite_need_the_seeds_of_one_suite_and_not_of_all(folder: Folder) -> None:
    longer = {f"long {seed}": build_record(variant="sgd", lr=0.5, seed=seed) for seed in range(6)}
    folder.records |= longer | {f"loose {seed}": build_record(variant="sgd", lr=0.3, seed=seed) for seed in SEEDS}
    folder.write()
    runs = tuple(record.run_id for record in longer.values())
    about = folder.manifest | {"name": "long", "tracks": (), "seeds": range(6), "untracked": runs}
    (folder.root / "suites" / "long.json").write_text(SuiteManifest.model_validate(about).model_dump_json())
    assert folder.findings() == []
    few = {f"few {seed}": build_record(variant="sgd", lr=0.7, seed=seed) for seed in (10, 11)}  # fewer, and others
    for name, record in few.items():
        folder.records[name] = record
    folder.write()
    runs = tuple(record.run_id for record in few.values())
    (folder.root / "suites" / "few.json").write_text(
        SuiteManifest.model_validate(about | {"name": "few", "seeds": (10, 11), "untracked": runs}).model_dump_json()
    )
    assert folder.findings() == []
    folder.path("loose 2").unlink()
    assert "also ran seeds 2" in folder.only(serious=False).problem


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
    folder.replace("sam 4 0", environment={"behaviour": None})
    Store(folder.root).path(folder.records["sam 4 0"].run_id).unlink()
    folder.write()
    (finding,) = validate(folder.root, edited, OFFICIAL)
    assert (finding.file, finding.problem) == (folder.file("sam 4 0"), "stale: the source of 'sam' is now ffffffffffff")


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


def test_a_run_without_a_curve_has_no_epoch(folder: Folder) -> None:
    record = folder.records["sgd 8 0"]
    folder.records["sgd 8 0"] = record.model_copy(update={"curve": ()})
    folder.manifest["tracks"] = [folder.track("E", 4, "sam 4")]
    folder.write()
    assert folder.only().value == "last epoch = 0"


def test_a_failed_run_is_named_by_its_own_file(folder: Folder) -> None:
    failed = build_record(variant="asam", status="failed")
    folder.records["asam"] = failed
    folder.write()
    finding = folder.only(serious=False)
    assert (finding.file, finding.value) == (f"runs/{failed.run_id}.failed.json", "variant = 'asam'")


@pytest.mark.parametrize(("cost", "problems"), [(2.039, 0), (2.041, 1), (1.961, 0), (1.959, 1)])
def test_a_cost_may_miss_the_declared_one_by_two_percent(folder: Folder, cost: float, problems: int) -> None:
    for seed in SEEDS:
        folder.replace(f"sam 4 {seed}", counters={"gradient_evaluations": 44 * cost})
    folder.manifest["tracks"] = [folder.track("E", 4, "sam 4")]
    folder.write()
    assert [finding.value for finding in folder.findings()] == [f"{cost} gradient evaluations a step"] * problems


def test_only_runs_to_the_end_with_a_declared_cost_show_another(folder: Folder) -> None:
    folder.replace("sam 4 0", declared_gradients=None, counters={"gradient_evaluations": 500.0})
    folder.records["sam 4 1"] = build_record(variant="sam", epochs=4, seed=1, status="diverged")
    folder.replace("sam 4 1", counters={"gradient_evaluations": 500.0})
    folder.manifest["tracks"] = [folder.track("E", 4, "sam 4")]
    folder.write()
    assert folder.findings() == []


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
    assert {f.way_out.partition(",")[0] for f in found} == {"Run it again on the official digits"}


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
    found = {finding.problem: finding.value for finding in folder.findings()}
    assert set(found) == {
        "it was made on the machine of the original, so that it verifies nothing",
        "there is no such run to verify",
        "there is no record of this run",
    }
    assert found["there is no record of this run"] == "0" * 12


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


def test_measurements_are_held_to_the_runs_that_they_were_made_of(folder: Folder) -> None:
    folder.write()
    run, absent = folder.records["sam 4 0"], build_record(variant="sam", seed=77)
    measured = Measurements(Store(folder.root))
    measured.write(build_measurement(run))
    other = build_measurement(run, rho=0.2).model_copy(update={"weights": "e" * 64})
    measured.write(build_measurement(run, epoch=2).model_copy(update={"weights": "e" * 64}))  # other ones on the way
    assert folder.findings() == []
    lost, damaged = build_measurement(absent), measured.path(run.run_id, "f" * 64)
    for one in (other, lost):
        measured.write(one)
    damaged.write_text("{}")
    found = {finding.file: finding for finding in folder.findings()}
    assert all(finding.serious for finding in found.values())
    files = [measured.path(one.run_id, one.measurement_id) for one in (other, lost)]
    assert {name: (one.value, one.problem.partition(":")[0]) for name, one in found.items()} == {
        files[0].relative_to(folder.root).as_posix(): (
            "weights = eeeeeeeeeeee", f"the record of the run says {str(run.weights)[:12]}",
        ),
        files[1].relative_to(folder.root).as_posix(): ("sam_gap", "it was measured on a run without a record here"),
        damaged.relative_to(folder.root).as_posix(): (
            "the measurement", found[damaged.relative_to(folder.root).as_posix()].problem.partition(":")[0],
        ),
    }  # fmt: skip
