"""Rows from made summaries of runs: costs, groups, spreads, and which runs count."""

import math
from typing import Any

import pytest

from sambench.results.records.behaviour import Code
from sambench.results.statistics.intervals import t_interval
from sambench.results.tables.grouping import RunSummary
from sambench.results.tables.rows import (
    Excluded,
    Row,
    between,
    deviation,
    difference,
    make_rows,
    select,
    typical_difference,
)


def run(seed: int, accuracy: float = 0.9, **changes: Any) -> RunSummary:
    """One run of ten evaluations in five seconds; ``resolution`` is 0 unless said."""
    fields = {
        "run_id": f"{seed:064x}", "seed": seed, "status": "completed", "reason": "", "accuracy": accuracy,
        "resolution": 0.0, "gradients": 10.0, "forwards": 2.0, "seconds": 5.0, "memory": 100, "code": Code("a"),
        "implementation": "reference", "hardware": "a CPU", "machine": "h a CPU", "commit": "c",
    }  # fmt: skip
    return RunSummary(**(fields | changes))


def rows(*methods: list[RunSummary], **settings: Any) -> list[Row]:
    return make_rows([(f"m{i}", {"variant": f"m{i}"} | settings, runs) for i, runs in enumerate(methods)])


def test_costs_are_those_of_the_runs_that_completed() -> None:
    lost = run(2, 0.1, status="diverged", gradients=900.0, forwards=900.0, seconds=900.0, memory=900)
    (row,) = rows(
        [run(0, gradients=2.0, seconds=4.0, memory=7), run(1, gradients=4.0, seconds=12.0, forwards=6.0), lost]
    )
    assert (row.n, row.diverged) == (3, 1)
    assert (row.gradient_evaluations, row.forward_evaluations, row.train_seconds) == (3, 4, 8)
    assert (row.seconds_per_gradient, row.unsteadiness, row.memory) == (16 / 6, 1.5, 100)
    assert row.accuracy == pytest.approx(1.9 / 3)
    assert row.error == pytest.approx(1.1 / 3)


def test_what_was_not_measured_is_not_shown() -> None:
    (row,) = rows([run(0, seconds=0.0, memory=None), run(1, gradients=0.0, memory=None), run(2, memory=None)])
    assert (row.unsteadiness, row.memory) == (1.0, None)
    (row,) = rows([run(seed, seconds=0.0, gradients=0.0) for seed in range(3)])
    assert (row.unsteadiness, row.seconds_per_gradient, row.gradient_evaluations) == (None, None, 0)
    (row,) = rows([run(seed, 0.1, status="diverged") for seed in range(3)])
    assert row.group == ""
    assert {row.gradient_evaluations, row.forward_evaluations, row.train_seconds, row.memory} == {None}
    assert (row.seconds_per_gradient, row.unsteadiness, row.diverged) == (None, None, 3)


def test_codes_that_do_the_same_are_one() -> None:
    codes = [Code("a", "x"), Code("b", "x"), Code("c", "y"), Code("d", "y")]
    (row,) = rows([run(seed, code=code) for seed, code in enumerate(codes)])
    assert row.codes == (codes[0], codes[2])


def test_a_row_is_as_proven_as_the_least_of_its_runs() -> None:
    assert [rows([run(0), run(1, implementation=status), run(2)])[0].status for status in ("reference", "derived")] == [
        "reference",
        "derived",
    ]


def test_three_runs_have_an_interval_and_a_group() -> None:
    two, three = [run(0), run(1, 0.91)], [run(0, 0.5), run(1, 0.51), run(2, 0.53)]
    first, second, third = rows(two, three, [run(seed, 0.1 + seed / 100, resolution=0.02) for seed in range(3)])
    assert (first.group, first.low, first.high) == ("", None, None)
    assert (second.group, third.group) == ("a", "b")
    assert (second.low, second.high) == t_interval([0.5, 0.51, 0.53])[1:]
    assert (third.low, third.high) == pytest.approx(t_interval([0.1, 0.11, 0.12], resolution=0.02)[1:])
    assert third.resolution == 0.02
    assert (first.runs, first.seeds, first.accuracies) == ((f"{0:064x}", f"{1:064x}"), (0, 1), (0.9, 0.91))


def test_settings_are_the_hyperparameters_and_what_differs() -> None:
    common = {"lr": 0.1, "hyper.rho": 0.05, "base": "sgd", "epochs": 4}
    methods = [common | {"variant": "sam"}, common | {"variant": "sgd", "base": "adamw", "lr": 0.2}]
    made = make_rows([(str(i), method, [run(0)]) for i, method in enumerate(methods)])
    assert [list(row.settings.items()) for row in made] == [
        [("rho", 0.05), ("lr", lr)] for lr in (0.1, 0.2)
    ]  # the base is in the name
    assert made[0].spec == {"variant": "sam", "lr": 0.1, "base": "sgd", "epochs": 4, "hyper": {"rho": 0.05}}


def test_a_row_is_not_compared_with_itself_nor_with_fewer_than_three_runs() -> None:
    methods = {"sam": range(3), "sgd": range(2), "asam": range(3), "gsam": range(2)}
    made = make_rows(
        [
            (name, {"variant": name}, [run(seed, 0.9 + level / 100 + seed / 1000) for seed in seeds])
            for level, (name, seeds) in enumerate(methods.items())
        ]
    )
    assert [list(row.against) for row in made] == [[], [], ["sam"], []]
    assert made[2].against["sam"].estimate == pytest.approx(0.02)
    assert between(made[2], made[0]) == made[2].against["sam"]
    assert between(made[1], made[0]) is None


def test_differences_are_no_finer_than_the_coarser_of_two_measurements() -> None:
    fine, coarse = ([run(seed, level, resolution=step) for seed in range(5)] for level, step in ((0.9, 0), (0.8, 0.06)))
    for found in (difference(fine, coarse), difference(coarse, fine), between(*rows(fine, coarse))):
        assert found is not None
        assert (found.high - found.low) / 2 == pytest.approx(2.776445 * 0.06 / math.sqrt(6 * 5))


def test_the_spread_over_seeds_is_that_of_methods_without_divergence() -> None:
    lost = [run(0, 0.1), run(1, 0.9, status="diverged")]
    clean = [run(0, 0.9), run(1, 0.92)]
    counted = [("a", {}, lost), ("b", {}, clean), ("c", {}, [run(0, 0.3, resolution=1.0)])]
    assert deviation(counted) == pytest.approx(0.02 / math.sqrt(2))
    assert deviation([counted[0], counted[2]]) is None
    equal = [run(seed, 0.9, resolution=0.01 * (seed + 1)) for seed in range(2)]
    assert deviation([("a", {}, equal)]) == pytest.approx(0.02 / math.sqrt(12))


def test_the_typical_difference_takes_two_methods_and_five_common_seeds() -> None:
    first = [run(seed, 0.9 + seed / 100) for seed in range(6)]
    second = [run(seed, 0.8 + seed / 100 + (seed == 2) / 10) for seed in range(1, 7)]
    assert typical_difference([("a", {}, first), ("b", {}, second)]) == pytest.approx(0.1 * math.sqrt(1 / 5))
    assert typical_difference([("a", {}, first)]) is None
    assert typical_difference([("a", {}, first), ("b", {}, second[:4])]) is None
    assert typical_difference([("a", {}, first), ("b", {}, second[1:])]) is None  # five runs, four of them in common
    lost = [run(seed, status="diverged") for seed in range(6)]
    few = [run(seed) for seed in range(4)]
    assert typical_difference([("a", {}, first), ("b", {}, lost)]) is None
    rest = [("c", {}, lost), ("d", {}, few)]
    assert typical_difference([("a", {}, first), ("b", {}, second), *rest]) == pytest.approx(0.1 * math.sqrt(1 / 5))
    equal = [run(seed, resolution=0.03) for seed in range(5)]
    assert typical_difference([("a", {}, equal), ("b", {}, equal)]) == pytest.approx(0.03 / math.sqrt(6))


def test_runs_that_do_not_count_are_told_with_the_reason() -> None:
    sam = [
        run(1, 0.5, run_id="b" * 64), run(1, 0.9, run_id="a" * 64), run(0, 0.7), run(3, run_id="e" * 64),
        run(2, 0.1, status="failed", reason="no memory"), run(4, status="failed", reason="no memory"),
    ]  # fmt: skip
    methods = [
        ({"variant": "bsam"}, [run(0, 0.8)]),
        ({"variant": "asam"}, [run(0, 0.8)]),  # as good: by name
        ({"variant": "sam"}, sam),
        ({"variant": "gsam"}, [run(5, status="failed", reason="no disk")]),
        ({"variant": "usam"}, [run(0, 0.95)]),
    ]
    counted, excluded = select(methods, {"e" * 64: "a mistake"})
    assert [(name, [one.accuracy for one in runs]) for name, _, runs in counted] == [
        ("usam", [0.95]), ("asam", [0.8]), ("bsam", [0.8]), ("sam", [0.7, 0.9]),
    ]  # fmt: skip
    assert excluded == [
        Excluded("gsam", (5,), "failed: no disk"),
        Excluded("sam", (1,), "the same run as aaaaaaaaaaaa, measured at other epochs"),
        Excluded("sam", (2, 4), "failed: no memory"),
        Excluded("sam", (3,), "retracted: a mistake"),
    ]
