"""Studies: predictions before runs, and verdicts on made records where the answer is known in all three ways."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import build_measurement, build_record
from typer.testing import CliRunner

from sambench import cli
from sambench.benchmarks.measuring.registry import read_requests
from sambench.benchmarks.studying.evidence import Evidence, MissingError
from sambench.benchmarks.studying.judging import WORDS, Judgement, judge, judge_all, prediction
from sambench.benchmarks.studying.page import ASKED_MOST, BEGIN, END, headline, page, section, summary, with_summary
from sambench.benchmarks.studying.registry import STUDIES, Finding, Part, Study
from sambench.benchmarks.suites.files import list_suites
from sambench.benchmarks.suites.preregistration import preregister
from sambench.benchmarks.suites.suite import Suite, load_suite
from sambench.errors import ConfigError, StateError
from sambench.markdown import escape
from sambench.results.records.manifest import read_manifest
from sambench.results.records.measurement import Measurements
from sambench.results.records.store import Store
from sambench.results.statistics.verdicts import exceeds
from sambench.results.tables.boards import gather
from sambench.results.validation import validate

UNIT = {"points": "{:g} percentage point", "percent": "{:g} percent", "tau": "than {:g}"}
"""How predictions write a margin."""

FLAT = -2.0
"""Slope over the radius of the logarithm of sharpness, where it falls with SAM and with the error."""

Spec = dict[str, Any]
Effect = Callable[[Spec, int], float]


def _worse(*variants: str) -> Effect:
    """These variants are as good as SAM where the claim is true, and 6 points worse where it is not."""
    return lambda spec, truth: 6.0 * (truth < 0) * (spec["variant"] in variants)


def _other(variant: str, points: float) -> Effect:
    """This variant has so many points more error where the claim is true, so many less where it is not."""
    return lambda spec, truth: points * truth * (spec["variant"] == variant)


def _between_sam_and_usam(spec: Spec, truth: int) -> float:
    """Unified SAM is as good as SAM and USAM where the claim is true, and 6 points worse where it is not."""
    return 6.0 * (truth < 0) * (spec["hyper"].get("lam") in (0.5, "1-1/t"))


def _sharp(spec: Spec) -> float:
    """Return the logarithm of a sharpness that falls with the radius and rises with batch, rate and decay."""
    rho = spec["hyper"].get("rho", 0.0)
    return FLAT * (rho + 0.3 * (rho > 0)) + spec["batch_size"] / 128 + 5 * spec["lr"] + 100 * spec["weight_decay"]


EFFECTS: dict[str, Effect] = {
    "adaptive_bases": lambda spec, truth: 3.0 * truth * (spec["variant"] == "sgd") * (spec["base"] == "adamw"),
    "adversarial_training": lambda spec, truth: 0.0,
    "averages": _other("swa", 3),
    "bad_global_minima": lambda spec, truth: 6.0 * truth * (spec["variant"] == "sgd") * ("init" in spec),
    "cheaper_rules": _worse("esam", "looksam", "ae_sam", "rst", "msam", "saf"),
    "cutout": _other("sam", -3),
    "equal_cost": _other("sam", -3),
    "fantastic_measures": lambda spec, truth: 10 * _sharp(spec),
    "fantastic_measures_96": lambda spec, truth: 10 * _sharp(spec),
    "flatness": lambda spec, truth: 0.0,
    "flatness_order": lambda spec, truth: -20 * spec["hyper"].get("rho", 0.0),
    "functional_sam": _other("functional_sam", -6),
    "importance_sampling": lambda spec, truth: -3.0 * truth * (spec.get("sampler", "uniform") != "uniform"),
    "importance_variance": lambda spec, truth: 0.0,
    "increasing_batch": lambda spec, truth: 6.0 * (truth < 0) * (spec.get("batch_schedule") == "doubling"),
    "label_noise": lambda spec, truth: -20 * truth * spec["noise"] * (spec["variant"] == "sam"),
    "large_batch": lambda spec, truth: 3.0 * truth * (spec["variant"] == "sgd") * (spec["batch_size"] == 256),
    "large_batch_minima": lambda spec, truth: 0.0,
    "late_phase": _worse("late_sam"),
    "low_rank_features": lambda spec, truth: 0.0,
    "m_sharpness": lambda spec, truth: -truth * np.log2(128 / spec["hyper"].get("m", 128)),
    "memorization": lambda spec, truth: 0.0,
    "norm_layers_only": _worse("sam_on"),
    "normalization": lambda spec, truth: (
        20.0 * (truth > 0) * (spec["variant"] == "usam" and spec["hyper"]["rho"] > 0.5)
    ),
    "random_directions": _other("rand_sam", 3),
    "rivals": _other("sam", -3),
    "robustness": lambda spec, truth: 0.0,
    "stability": lambda spec, truth: 0.0,
    "stability_on_the_way": lambda spec, truth: 0.0,
    "stale_direction": _other("opt_sam", 3),
    "steadier_ascent": lambda spec, truth: 0.0,
    "steadier_direction": _worse("fsam", "vasso"),
    "surrogate_gap": _other("gsam", -3),
    "universal_class": lambda spec, truth: 0.0,
    "unified_grid": _between_sam_and_usam,
    "unified_grid_clothes": _between_sam_and_usam,
}
"""Study -> points of error that a run has more where its claim is true (1) or false (-1)."""
DECIDED = {1: "supported", -1: "contradicted", 0: "undecided"}

STUDY = pytest.mark.parametrize("one", STUDIES.all(), ids=lambda one: one.name)


def few_seeds(suite: Suite) -> Suite:
    """Return a suite as it is once it was tuned, with a few of its seeds: three where it has many rows, else five."""
    seeds = suite.seeds[: 3 if len(suite.specs) > 22 * len(suite.seeds) else 5]
    tracks = tuple(
        dataclasses.replace(track, specs=tuple(spec for spec in track.specs if spec.seed in seeds))
        for track in suite.resolved_tracks
    )
    specs = tuple(spec for spec in suite.specs if spec.seed in seeds)
    references = tuple(spec for spec in suite.references if spec.seed in seeds)
    return Suite(
        **{field.name: getattr(suite, field.name) for field in dataclasses.fields(suite)}
        | {"budget": None, "seeds": seeds, "specs": specs, "resolved_tracks": tracks, "references": references}
    )


def _measured(label: str, spec: Spec, truth: int, luck: float) -> float:
    """Return a value that goes with SAM, with other settings and with the error, as the claims say where they are true:
    epochs, a share of right images, a sharpness, or what is to fall where sharpness rises."""
    rho = spec["hyper"].get("rho", 0.0)
    if label.startswith(("gradient_variance", "ascent")):
        return float(np.exp((luck * (0.01 if truth else 2) - truth) * ("[" in label)))
    if label == "epochs_to_fit":
        return 40 + 20 * truth * (rho > 0) + (1 if truth else 8) * luck
    if label.startswith(("pgd", "fgsm")):
        return 0.5 + 0.3 * truth * (spec["variant"] != "sgd") + 0.1 * luck * (truth == 0)
    sign = -1 if label.partition("[")[0] in ("pac_bayes", "distance", "path_norm", "weight_norms") else 1
    return float(np.exp(sign * (truth * _sharp(spec) + luck * (0.01 if truth else 2))))


def made_up(name: str, store: Store, truth: int, spread: float) -> None:
    """Write the manifest and made-up runs of a suite: seeds share their luck, each run has a spread of its own."""
    suite = few_seeds(load_suite(name))
    preregister(suite, store, "sambench launch")
    for spec in suite.specs:
        values = spec.model_dump(mode="json")
        luck, own = np.random.default_rng(spec.seed), np.random.default_rng([int(spec.run_id[:8], 16), 5])
        error = 30 + luck.normal(0, 2) + sum(EFFECTS[one](values, truth) for one in suite.predictions)
        accuracy = float(np.clip(1 - (error + own.normal(0, spread)) / 100, 0, 1))
        record = build_record(accuracy=accuracy, count=10_000, **values)
        store.write(record)
        fortune = own.normal(size=2)[1]
        asked = {(one.measures, point) for one in STUDIES.all() if one.suite == name for point in (*one.points, None)}
        asked |= {
            (one.measures_at_scale, at) for one in STUDIES.all() if one.scaled == name for at in (*one.points, None)
        }
        for measures, epoch in asked:
            for request in read_requests([measures] if measures else []):
                value = _measured(request.label, values, truth, fortune)
                about = {"measure": request.measure.name, "label": request.label, **request.settings}
                Measurements(store).write(build_measurement(record, epoch, value, **about))


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Evidence]:
    """Return a function of suite and truth (1: every claim is true, -1: none is, 0: nothing but noise)."""

    @cache
    def made(suite: str, truth: int) -> Evidence:
        folder = tmp_path_factory.mktemp(suite)
        made_up(suite, Store(folder), truth, spread=0.05 if truth else 15)
        return Evidence.of(folder, suite)

    return made


@STUDY
def test_the_prediction_names_what_the_first_case_needs(one: Study, evidence: Callable[[str, int], Evidence]) -> None:
    needs = one.function(evidence(one.suite, 1)).parts[0].verdict.needs
    margin = abs(float(needs.removeprefix("more than ")))
    assert UNIT[one.unit].format(margin) in prediction(one).replace("\n", " ")


@STUDY
def test_the_question_can_be_asked_at_the_papers_size(one: Study, tmp_path: Path) -> None:
    small, large = load_suite(one.suite), load_suite(one.scaled)
    assert {spec.dataset for spec in large.specs} <= {"cifar10", "cifar100"}
    assert min(spec.epochs for spec in (*large.specs, *large.references)) >= 10
    assert not any("crop:1" in spec.augment or "cutout:3" in spec.augment for spec in large.specs)
    assert (len(large.specs), large.seeds, large.predictions.keys(), large.keep, large.budget) == (
        len(small.specs), small.seeds, small.predictions.keys(), small.keep, small.budget
    )  # fmt: skip
    told = (
        CliRunner()
        .invoke(cli.app, ["study", "describe", one.name, "--scale", "gpu", "--results", str(tmp_path)])
        .output
    )
    assert " ".join(large.predictions[one.name].split()) in " ".join(told.split())
    same = large.predictions[one.name] == small.predictions[one.name]
    assert same == (one.measures == one.measures_at_scale)


@STUDY
def test_what_is_told_to_come_next_is_the_tuning_where_one_comes_first(one: Study, tmp_path: Path) -> None:
    told = CliRunner().invoke(cli.app, ["study", "describe", one.name, "--results", str(tmp_path)]).output
    first = f"tune {one.suite}" if load_suite(one.suite).budget else f"study run {one.name}"
    assert f"next: sambench {first} --results" in told


@pytest.mark.parametrize("name", ["m_sharpness", "normalization", "robustness", "adversarial_training", "cutout"])
def test_a_verdict_at_the_papers_size(name: str, tmp_path: Path) -> None:
    one = STUDIES.get(name)
    made_up(one.scaled, Store(tmp_path), 1, spread=0.05)
    assert one.function(Evidence.of(tmp_path, one.scaled)).outcome == "supported"
    told = CliRunner().invoke(cli.app, ["study", "describe", name, "--scale", "gpu", "--results", str(tmp_path)])
    assert "supported here" in told.output
    assert one.setting[:30] not in told.output
    assert judge_all(gather(Store(tmp_path)))[STUDIES.names().index(name)].finding is None


def test_no_suite_predicts_for_a_study_that_is_not_there() -> None:
    named = {(suite, name) for suite in list_suites() for name in load_suite(suite).predictions}
    assert named == {(one.suite, one.name) for one in STUDIES.all()}


def test_no_run_of_a_predicted_suite_was_made_for_another_one() -> None:
    suites = [suite for name in list_suites() if not (suite := load_suite(name)).budget]
    names: dict[str, list[str]] = {}
    for suite in suites:
        for run in suite.run_ids:
            names.setdefault(run, []).append(suite.name)
    predicted = {suite.name for suite in suites if suite.predictions}
    shared = {tuple(several) for several in names.values() if len(several) > 1 and predicted & {*several}}
    assert not shared, "a run that another suite makes may be known before the prediction: take other seeds"


@pytest.mark.parametrize("truth", [1, *(pytest.param(truth, marks=pytest.mark.slow) for truth in (-1, 0))])
@STUDY
def test_the_verdict_is_what_is_known(one: Study, truth: int, evidence: Callable[[str, int], Evidence]) -> None:
    assert one.function(evidence(one.suite, truth)).outcome == DECIDED[truth]


def test_the_page_has_every_study_and_its_numbers(tmp_path: Path) -> None:
    one = STUDIES.get("m_sharpness")
    made_up(one.suite, Store(tmp_path), 1, spread=0.05)
    text = page(judge_all(gather(Store(tmp_path))))
    assert all(f"## {study.name}" in text for study in STUDIES.all())
    assert "not run yet" in text
    finding = one.function(Evidence.of(tmp_path, one.suite))
    assert f"{finding.parts[0].verdict.low:+.2f}".replace("-", "−") in text
    assert "**supported here**" in text
    assert page(judge_all(gather(Store(tmp_path)))) == text


def judged(name: str, finding: Finding | None) -> Judgement:
    verdict = WORDS[finding.outcome] if finding else "not run yet"
    return Judgement(STUDIES.get(name), "so it is", True, finding, verdict)


@pytest.mark.parametrize("outcome", ["supported", "contradicted", "undecided"])
def test_a_headline_shows_a_case_that_says_what_the_verdict_says(outcome: str) -> None:
    effects = {"supported": [2.0, 2.1, 2.2], "undecided": [-9.0, 0.0, 9.0], "contradicted": [-2.0, -2.1, -2.2]}
    parts = tuple(Part(name, exceeds(values, 1)) for name, values in effects.items())
    assert {part.case: part.verdict.outcome for part in parts} == {name: name for name in effects}
    assert f" ({outcome}): " in headline(judged("flatness", Finding(outcome, parts)))


def test_a_page_gets_a_line_a_verdict_and_keeps_the_rest(tmp_path: Path) -> None:
    one = STUDIES.get("m_sharpness")
    made_up(one.suite, Store(tmp_path), 1, spread=0.05)
    found = judge_all(gather(Store(tmp_path)))
    text = with_summary(f"# A\n\n{BEGIN}\nold\n{END}\nrest", found)
    (line,) = [line for line in text.splitlines() if line.startswith("- ")]
    assert line.startswith(f"- {one.claim} **Supported here (")
    assert "old" not in text
    assert (text.startswith("# A\n"), text.endswith("\nrest")) == (True, True)
    assert with_summary(text, found) == text
    with pytest.raises(ConfigError, match="lacks the lines"):
        with_summary("# A", found)


def test_a_summary_has_decided_studies_first_and_among_them_what_people_ask_first() -> None:
    def finding(*effects: float) -> Finding:
        part = Part("case", exceeds(effects, 0))
        return Finding(part.verdict.outcome, (part,))

    decided, open_ = finding(1.0, 1.1), finding(-1.0, 1.1)
    found = {"averages": decided, "cutout": None, "label_noise": open_, "robustness": decided, "stability": open_}
    lines = summary([judged(name, one) for name, one in found.items()]).splitlines()
    claims = [STUDIES.get(name).claim for name in ("robustness", "averages", "label_noise", "stability")]
    assert [line.startswith(f"- {claim}") for line, claim in zip(lines, claims, strict=True)] == [True] * 4
    assert set(ASKED_MOST) <= set(STUDIES.names())


def test_a_study_waits_for_what_it_measures(tmp_path: Path) -> None:
    one = STUDIES.get("robustness")
    made_up(one.suite, Store(tmp_path), 1, spread=0.05)
    label = read_requests([one.measures])[0].label
    row = Evidence.of(tmp_path, one.suite).row("sgd", noise=0.0)
    for path in (tmp_path / "measurements" / row.runs[0]).iterdir():
        path.unlink()
    evidence = Evidence.of(tmp_path, one.suite)
    assert len(evidence.measured(label, "sgd", noise=0.4)) == 5
    with pytest.raises(MissingError, match=r"is measured of 4 of 5 runs of sgd"):
        one.function(evidence)
    found = judge(one, evidence)
    assert (found.finding, found.verdict) == (None, "not run yet")
    assert "is measured of 4 of 5 runs of sgd" in found.reason
    told = CliRunner().invoke(cli.app, ["study", "describe", one.name, "--results", str(tmp_path)]).output
    assert "is measured of 4 of 5 runs of sgd" in " ".join(told.split())


def test_networks_without_a_measure_are_left_out_and_those_that_were_not_measured_are_waited_for(
    tmp_path: Path,
) -> None:
    """No noise costs a network that guesses a tenth of its accuracy: its sigma is infinite, which no record holds."""
    one, store = STUDIES.get("fantastic_measures"), Store(tmp_path)
    made_up(one.suite, store, 1, spread=0.05)
    (run, *_) = Evidence.of(tmp_path, one.suite).row("sgd", lr=0.1, batch_size=32, weight_decay=5e-4).runs
    (path,) = [
        path
        for path in (tmp_path / "measurements" / run).iterdir()
        if json.loads(path.read_text())["measure"] == "pac_bayes"
    ]
    kept = path.read_text()
    path.write_text(json.dumps(json.loads(kept) | {"values": {"gap": None}}))
    found = one.function(Evidence.of(tmp_path, one.suite))
    networks = 24 * found.parts[0].verdict.n
    assert found.outcome == "supported"
    assert found.parts[0].case.endswith(f", {networks - 1} of {networks} networks")
    path.unlink()
    with pytest.raises(MissingError, match=r"pac_bayes\[draws=5,samples=512\] is measured of \d of \d runs of sgd"):
        one.function(Evidence.of(tmp_path, one.suite))


@pytest.mark.parametrize("name", STUDIES.names())
def test_the_first_sentence_on_what_differs_is_a_sentence(name: str) -> None:
    """It stands in the line of a claim that was contradicted: no name of authors alone."""
    one = STUDIES.get(name)
    part = Part("case", exceeds([-1.0, -1.1, -1.2], 0))
    (line,) = summary(
        [Judgement(one, "so it is", True, Finding("contradicted", (part,)), WORDS["contradicted"])]
    ).splitlines()
    told = line.removeprefix(f"- {escape(one.claim)} ").partition(" **Contradicted")[0]
    assert len(told.split()) > 5
    assert not told.endswith("et al.") or told.rstrip(".") == escape(one.departs).rstrip(".")
    assert escape(one.departs).startswith(told.rstrip("."))


def test_what_was_predicted_is_what_the_manifest_keeps(tmp_path: Path) -> None:
    """Whatever the suite says by now, and said to precede the runs only where it does."""
    one, suite = STUDIES.get("m_sharpness"), tmp_path / "suites" / "m-sharpness.json"
    made_up(one.suite, Store(tmp_path), 1, spread=0.05)
    manifest = json.loads(suite.read_text())
    manifest["predictions"][one.name] = "What was thought before."
    suite.write_text(json.dumps(manifest))

    def told() -> tuple[str, str]:
        output = CliRunner().invoke(cli.app, ["study", "describe", one.name, "--results", str(tmp_path)]).output
        return " ".join(output.split()), page(judge_all(gather(Store(tmp_path))))

    for text in told():
        assert "What was thought before." in text
        assert prediction(one) not in text
    suite.write_text(json.dumps(manifest | {"registered": 4e9}))
    assert "prediction, not known to precede its runs" in told()[0]
    suite.write_text(json.dumps(manifest | {"registered": None}))
    assert "before the runs What was" not in told()[0]
    assert f"- **Prediction** (suite `{one.suite}`)" in told()[1]


def diverge(store: Store, run_id: str) -> None:
    record = build_record(**store.read(run_id).spec, status="diverged")
    store.path(run_id).write_text(record.model_dump_json() + "\n")
    shutil.rmtree(store.root / "measurements" / run_id)


@pytest.mark.parametrize(("left", "says"), [(2, "takes 3 seeds"), (0, "all runs of sam")])
def test_a_study_that_cannot_be_judged_stops_no_other(left: int, says: str, tmp_path: Path) -> None:
    one, store = STUDIES.get("stability"), Store(tmp_path)
    made_up(one.suite, store, 1, spread=0.05)
    for run_id in Evidence.of(tmp_path, one.suite).row("sam", replace_example=0).runs[left:]:
        diverge(store, run_id)
    found = {each.study.name: each for each in judge_all(gather(store))}
    assert (found["stability"].verdict, found["stability"].finding) == ("cannot be judged", None)
    assert says in found["stability"].reason
    assert f"cannot be judged: {found['stability'].reason}" in section(found["stability"]).replace("\\", "")
    assert len(found) == len(STUDIES.names())
    told = CliRunner().invoke(cli.app, ["study", "list", "--results", str(tmp_path)])
    assert told.exit_code == 0
    assert "cannot be judged" in told.output


def test_runs_that_diverged_are_told(tmp_path: Path) -> None:
    one, store = STUDIES.get("stability"), Store(tmp_path)
    made_up(one.suite, store, 1, spread=0.05)
    diverge(store, Evidence.of(tmp_path, one.suite).row("sam", replace_example=0).runs[0])
    found = judge(one, Evidence.of(tmp_path, one.suite))
    assert found.finding
    (row,) = found.diverged
    assert row.startswith("sam")
    assert "(1 of" in row
    assert "- **Diverged**: sam" in section(found)
    told = CliRunner().invoke(cli.app, ["study", "describe", one.name, "--results", str(tmp_path)]).output
    assert row in " ".join(told.split())


def test_predictions_are_written_first_and_stay_as_they_were(tmp_path: Path) -> None:
    one, store = STUDIES.get("m_sharpness"), Store(tmp_path)
    suite = few_seeds(load_suite(one.suite))
    preregister(suite, store, "sambench launch")
    path = tmp_path / "suites" / f"{one.suite}.json"
    first = read_manifest(path)
    assert first.predictions == suite.predictions
    preregister(suite, store, "sambench launch again")
    assert read_manifest(path).registered == first.registered
    other = dataclasses.replace(suite, predictions={**suite.predictions, one.name: "the opposite"})
    preregister(other, store, "sambench launch")  # nothing was seen yet
    made_up(one.suite, store, 1, spread=0.05)
    with pytest.raises(StateError, match="predictions are not changed after results were seen"):
        preregister(other, store, "sambench launch")


@pytest.mark.parametrize(("after", "found"), [(60.0, False), (-60.0, True), (None, True)])
def test_runs_that_began_before_the_prediction_are_found(after: float | None, found: bool, tmp_path: Path) -> None:
    one, store = STUDIES.get("m_sharpness"), Store(tmp_path)
    suite = few_seeds(load_suite(one.suite))
    preregister(suite, store, "sambench launch")
    registered = read_manifest(tmp_path / "suites" / f"{one.suite}.json").registered
    assert registered is not None
    for spec in suite.specs:
        record = build_record(**spec.model_dump(mode="json"))
        began = None if after is None else registered + after
        store.write(record.model_copy(update={"timing": record.timing.model_copy(update={"began": began})}))
    said = [finding for finding in validate(tmp_path, {}, {}) if "predictions of" in finding.value]
    assert bool(said) == found
