"""Across workloads: correct numbers for several workloads, one sentence for a single one."""

import random
import re
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from sambench.results.leaderboard import render as leaderboard
from sambench.results.records.manifest import SuiteManifest, Track
from sambench.results.records.record import RunRecord
from sambench.results.tables.boards import Boards, assemble
from sambench.results.tables.cross_workload import Overall, compare, in_common

Make = Callable[..., RunRecord]
LEVELS = {"sgd": 0.90, "sam": 0.92, "asam": 0.915}
SEEDS = range(4)


def records(make_record: Make, workloads: int, levels: dict[str, float] = LEVELS) -> list[RunRecord]:
    rng = np.random.default_rng(1)
    return [
        make_record(
            variant=variant,
            noise=workload / 100,
            seed=seed,
            accuracy=level - workload / 50 + rng.normal(0, 0.01),
            count=2000,
        )
        for workload in range(workloads)
        for variant, level in levels.items()
        for seed in SEEDS
    ]


def boards(runs: list[RunRecord]) -> Boards:
    ids = tuple(sorted(run.run_id for run in runs))
    track = Track(name="G", budget=8, runs=ids, calibration=None)
    fields = {"name": "s", "title": "What S answers", "description": "Not X.", "command": "sambench launch s"}
    return assemble(runs, [SuiteManifest.model_validate(fields | {"seeds": tuple(SEEDS), "tracks": (track,)})])


def pages_of(found: Boards) -> str:
    return "\n".join(leaderboard.render(found).values())


def overall(found: Boards) -> dict[str, Overall]:
    return {method.label: method for method in compare(in_common(found.sections, "G"))}


def errors(runs: list[RunRecord], variant: str) -> list[list[float]]:
    """Errors of a variant, one list a workload."""
    found: dict[float, list[float]] = {}
    for run in runs:
        assert run.metrics is not None
        if run.spec["variant"] == variant:
            found.setdefault(run.spec["noise"], []).append(1 - run.metrics.accuracy)
    return list(found.values())


@pytest.mark.parametrize("reverse", [False, True])
def test_of_several_suites_on_a_workload_the_one_with_most_in_common_stands_for_it(
    make_record: Make, reverse: bool
) -> None:
    """Then the one with the largest budget, however the suites are called."""
    suites, runs = list[SuiteManifest](), list[RunRecord]()
    for name, noise, budget, variants, seeds in (
        ("a", 0.1, 8, ("sam", "sgd"), (0, 1)),
        ("b", 0.2, 8, ("sam", "sgd"), (0, 1)),
        ("c", 0.2, 16, ("sam", "sgd", "asam"), (2, 3)),
        ("d", 0.2, 99, ("sgd", "asam", "gsam"), (4, 5)),
    ):
        made = [make_record(variant=variant, noise=noise, seed=seed) for variant in variants for seed in seeds]
        runs += made
        track = Track(name="G", budget=budget, runs=tuple(run.run_id for run in made), calibration=None)
        about = {"name": name, "title": name, "description": "", "command": "c", "seeds": seeds, "tracks": (track,)}
        suites.append(SuiteManifest.model_validate(about))
    tables = in_common(assemble(runs, suites[::-1] if reverse else suites).sections, "G")
    assert sorted([(row.label, row.seeds) for row in rows] for rows in tables) == [
        [("sam", (0, 1)), ("sgd", (0, 1))],
        [("sam", (2, 3)), ("sgd", (2, 3))],
    ]


def test_the_numbers_are_those_of_scipy_and_of_counting(make_record: Make) -> None:
    runs = records(make_record, 3)
    methods = overall(boards(runs))
    scales = np.mean([np.mean(errors(runs, variant), axis=1) for variant in LEVELS], axis=0)
    for variant, method in methods.items():
        relative = np.array(errors(runs, variant)) / scales[:, None]
        means = relative.mean(axis=1)
        low, high = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
        assert method.mean == pytest.approx((means.mean(), low, high))
        assert method.median == pytest.approx(np.median(relative))
        assert method.middle.estimate == pytest.approx(stats.trim_mean(relative.ravel(), 0.25))
        assert method.middle.low < method.middle.estimate < method.middle.high
        assert method.n == 12
    wins = [
        stats.mannwhitneyu(sgd, sam).statistic / 16
        for sgd, sam in zip(errors(runs, "sgd"), errors(runs, "sam"), strict=True)
    ]
    assert methods["sam"].better == {"sgd": pytest.approx(np.mean(wins))}
    assert methods["asam"].better.keys() == {"sgd", "sam"}
    best = np.min([np.mean(errors(runs, variant), axis=1) for variant in LEVELS], axis=0)
    for method in methods.values():
        assert method.within == tuple(
            pytest.approx(np.mean(np.array(errors(runs, method.label)) <= factor * best[:, None]))
            for factor in (1.1, 1.5)
        )
    assert {method.rank for method in methods.values()} == {None}


def test_the_section_is_the_same_text_for_any_order_of_records(make_record: Make) -> None:
    runs = records(make_record, 2)
    text = pages_of(boards(runs))
    shuffled = runs.copy()
    random.Random(0).shuffle(shuffled)
    assert pages_of(boards(shuffled)) == text
    section = text.partition("# Across workloads")[2]
    assert "2 workloads, 3 methods that ran on all of them;" in section
    assert "with 2 workloads no such test can reach 5 %, it takes 6." in section
    assert re.findall(r"^\| (\w+) +\|  *8 \|", section, flags=re.MULTILINE)[-1] == "sgd"
    assert "Rank" not in section


def test_ranks_come_with_the_sixth_workload(make_record: Make) -> None:
    runs = records(make_record, 6)
    found = overall(boards(runs))
    ranks = stats.rankdata([np.mean(errors(runs, variant), axis=1) for variant in LEVELS], axis=0).mean(axis=1)
    assert [found[variant].rank for variant in LEVELS] == pytest.approx(ranks)
    text = pages_of(boards(runs))
    assert "| Rank | Group |" in text
    assert "so few of them cannot tell any of 3 methods apart" in text
    assert {method.group for method in found.values()} == {"a"}


@pytest.mark.parametrize(("workloads", "methods", "few"), [(6, 2, False), (6, 3, True), (7, 3, False), (9, 6, True)])
def test_too_few_workloads_for_any_difference_are_said(
    make_record: Make, workloads: int, methods: int, few: bool
) -> None:
    """Holm's method gives at least 2 / 2^workloads, times the number of pairs: 1/32, 3/32, 3/64, 15/256."""
    text = pages_of(boards(records(make_record, workloads, {f"m{n}": 0.9 + n / 200 for n in range(methods)})))
    assert ("so few of them cannot tell any of" in text) == few
    assert f"of all pairs over the {workloads} workloads (Holm, 5 %)" in text


def test_one_workload_is_one_sentence(make_record: Make) -> None:
    text = pages_of(boards(records(make_record, 1)))
    assert "Nothing is said across workloads yet" in text
    assert "no track has more than 1 workload." in text


def test_workloads_without_common_methods_are_not_compared(make_record: Make) -> None:
    runs = [run for run in records(make_record, 2) if (run.spec["noise"] > 0) == (run.spec["variant"] == "sgd")]
    assert "no two methods ran on every workload of a track" in pages_of(boards(runs))


def test_a_workload_without_errors_says_nothing_against_anybody(make_record: Make) -> None:
    runs = [
        make_record(variant=variant, noise=noise, seed=seed, accuracy=1 - noise * factor, count=2000)
        for noise in (0.0, 0.1)
        for variant, factor in (("sgd", 3), ("sam", 1))
        for seed in SEEDS
    ]
    found = overall(boards(runs))
    for name, relative in (("sam", 0.25), ("sgd", 0.75)):  # half of 0.5, half of 1.5; the median lies between both
        assert (found[name].median, found[name].mean.estimate) == (pytest.approx(relative), pytest.approx(relative))
    assert found["sam"].better == {"sgd": 0.75}  # half a win and a whole one
    assert (found["sam"].within, found["sgd"].within) == ((1, 1), (0.5, 0.5))
    assert list(found) == ["sam", "sgd"]


def test_two_methods_on_every_workload_of_one_track_are_compared(make_record: Make) -> None:
    runs = [run for run in records(make_record, 2) if run.spec["variant"] != "asam" or run.spec["noise"] == 0]
    found = boards(runs)
    assert [[row.label for row in rows] for rows in in_common(found.sections, "G")] == [["sam", "sgd"]] * 2
    assert in_common(found.sections, "E") == []
    alone = boards([run for run in runs if run.spec["variant"] != "sam"])
    assert in_common(alone.sections, "G") == []
    assert in_common(boards(records(make_record, 1)).sections, "G") == []
    assert in_common(assemble(runs).sections, "G") == []


def test_a_grid_of_one_variant_ends_no_comparison_of_others(make_record: Make) -> None:
    """A workload without a baseline is left out where nothing could be said else, and said to be."""
    runs = records(make_record, 3)

    def only(*kept: str) -> Boards:
        return boards([run for run in runs if run.spec["noise"] < 0.02 or run.spec["variant"] in kept])

    grid = only("sgd")
    assert [len(rows) for rows in in_common(grid.sections, "G")] == [3, 3]
    said = (
        "2 workloads (and 1 other left out, none of whose tables has sgd and sam), 3 methods that ran on all of them;"
    )
    assert said in pages_of(grid)
    for kept in (
        ("sgd", "asam"),
        ("sam", "asam"),
        ("sgd", "sam", "asam"),
    ):  # two methods ran on all: nothing is left out
        assert [[row.label for row in rows] for rows in in_common(only(*kept).sections, "G")] == [sorted(kept)] * 3
        assert "left out" not in pages_of(only(*kept))
    few = boards([run for run in runs if run.spec["noise"] < 0.01 or run.spec["variant"] == "sgd"])
    assert in_common(few.sections, "G") == []  # one workload remains


def test_workloads_of_different_tracks_are_not_counted_together(make_record: Make) -> None:
    runs = records(make_record, 2)
    tracks = tuple(
        Track(name=name, budget=8, runs=tuple(run.run_id for run in runs if run.spec["noise"] == noise))
        for name, noise in (("G", 0.0), ("E", 0.01))
    )
    fields = {"name": "s", "title": "S", "description": "", "command": "sambench launch s", "seeds": tuple(SEEDS)}
    text = pages_of(assemble(runs, [SuiteManifest.model_validate(fields | {"tracks": tracks})]))
    assert "no track has more than 1 workload." in text


def test_a_baseline_with_several_settings_has_no_single_row(make_record: Make) -> None:
    runs = records(make_record, 2)
    twice = runs + [
        make_record(variant="sgd", lr=0.5, noise=noise, seed=seed, accuracy=0.7)
        for noise in (0.0, 0.01)
        for seed in SEEDS
    ]
    found = boards(twice)
    methods = overall(found)
    assert {label: list(method.better) for label, method in methods.items()} == {
        "sam": [], "asam": ["sam"], "sgd (lr=0.1)": ["sam"], "sgd (lr=0.5)": ["sam"],
    }  # fmt: skip
    section = pages_of(found).partition("# Across workloads")[2]
    assert "| P(< sam) |" in section
    assert "| P(< sgd) |" not in section
    assert re.search(r"^\| sam .*\| +– \|", section, flags=re.MULTILINE)
