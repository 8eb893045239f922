"""Verdicts: their rule, how often they are wrong, and what n would decide."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from sambench.benchmarks.studying.evidence import log_ratio
from sambench.errors import StateError
from sambench.results.statistics.rank_correlation import granulated_tau
from sambench.results.statistics.verdicts import equals, every, exceeds, falls, most, rises

TIMES = 1000


@pytest.mark.parametrize("n", [3, 10])
@pytest.mark.parametrize("truth", [0.4, 0.5, 0.6])
def test_a_wrong_verdict_is_as_rare_as_stated(n: int, truth: float) -> None:
    """The margin is .5; at the margin itself both verdicts are errors, 2.5 % each."""
    rng = np.random.default_rng([n, int(10 * truth) + 100])
    found = [exceeds(rng.normal(truth, 1, n), 0.5).outcome for _ in range(TIMES)]
    wrong = found.count("supported") * (truth <= 0.5) + found.count("contradicted") * (truth >= 0.5)
    assert wrong / TIMES <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / TIMES)


@pytest.mark.parametrize("truth", [0.5, 0.6, -0.5])
def test_equality_is_as_rarely_wrong(truth: float) -> None:
    rng = np.random.default_rng(int(10 * truth) + 100)
    found = [equals(rng.normal(truth, 0.5, 10), 0.5).outcome for _ in range(TIMES)]
    wrong = found.count("supported") * (abs(truth) >= 0.5) + found.count("contradicted") * (abs(truth) <= 0.5)
    assert wrong / TIMES <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / TIMES)


def test_majorities_of_cases_at_their_own_level_are_as_rarely_wrong() -> None:
    """Half of six cases are true: neither verdict on their majority may come out often."""
    rng, wrong = np.random.default_rng(7), 0
    for _ in range(TIMES):
        values = rng.normal([[0.0]] * 3 + [[1.0]] * 3, 1, (6, 10))
        wrong += most([exceeds(one, 0, level=1 - 0.05 / 6).outcome for one in values]) == "supported"
    assert wrong / (TIMES) <= 0.05


@pytest.mark.parametrize("truths", [[0.5, 2, 2, 2, 2], [0.5] * 5])
def test_claims_on_all_of_several_cases_are_as_rarely_wrong(truths: list[float]) -> None:
    """Five points of training at the margin of .5 or well beyond it: whatever is said of all of them is wrong."""
    rng = np.random.default_rng(len(set(truths)))
    found = [
        every([exceeds(rng.normal(truth, 1, 10), 0.5, level=1 - 0.05 / 5).outcome for truth in truths])
        for _ in range(TIMES)
    ]
    assert (TIMES - found.count("undecided")) / TIMES <= 0.05


@pytest.mark.parametrize("spread", [0.1, 0.2, 0.4, 0.8])
@pytest.mark.parametrize("judge", [falls, rises])
def test_effects_in_percent_are_as_rarely_wrong(judge: Any, spread: float) -> None:
    """Ratios of lognormal measurements are skewed, their logarithms are not: at the margin both verdicts are errors."""
    rng, seeds, found = np.random.default_rng(int(10 * spread)), range(10), []
    for _ in range(TIMES):
        first, second = (dict(zip(seeds, rng.lognormal(0, spread, 10), strict=True)) for _ in range(2))
        second = {seed: (0.9 if judge is falls else 1.1) * value for seed, value in second.items()}
        pair = (first, second) if judge is falls else (second, first)
        found.append(judge(log_ratio(*pair), 10).outcome)
    for one in ("supported", "contradicted"):
        assert found.count(one) / TIMES <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / TIMES)


def test_percents_are_those_of_the_geometric_mean() -> None:
    first, second = {0: 4.0, 1: 2.0, 2: 1.0}, {0: 1.0, 1: 1.0, 2: 1.0}
    down, up = falls(log_ratio(first, second), 40), rises(log_ratio(first, second), 40)
    assert (down.estimate, up.estimate) == pytest.approx((50, 100))
    assert down.low < 0 < 40 < down.high < 100
    assert (down.outcome, up.outcome, down.needs) == ("undecided", "undecided", "more than 40")
    assert falls([0.69, 0.7, 0.68], 40).outcome == "supported"
    assert falls([0.69, 0.7, 0.68], 60).outcome == "contradicted"


def test_a_ratio_takes_positive_values() -> None:
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(StateError, match="a ratio takes positive values"):
            log_ratio({0: 1.0, 1: 1.0, 2: 1.0}, {0: 1.0, 1: bad, 2: 1.0})


def test_rank_correlations_are_as_rarely_wrong() -> None:
    """The tau of noise with noise over 24 settings is 0 on average, the margin."""
    rng = np.random.default_rng(5)
    groups = {"a": np.arange(24).reshape(8, 3).tolist(), "b": np.arange(24).reshape(12, 2).tolist()}
    wrong = 0
    for _ in range(TIMES // 2):
        values = rng.normal(size=(2, 8, 24))
        wrong += exceeds(granulated_tau(*values, groups), 0).outcome != "undecided"
    assert wrong / (TIMES // 2) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / (TIMES // 2))


def test_more_seeds_decide_what_is_undecided() -> None:
    rng = np.random.default_rng(3)
    verdict = exceeds(rng.normal(0.3, 1, 10), 0)
    assert verdict.outcome == "undecided"
    assert verdict.needed is not None
    assert 10 < verdict.needed < 2000
    assert exceeds([0.5, 0.6], 0.55).needed is None


@pytest.mark.parametrize("judge", [exceeds, equals])
@pytest.mark.parametrize("distance", [0.03, 0.1, 0.3, 1.0, 2.0, 40.0])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_so_many_seeds_decide_and_two_percent_fewer_do_not(judge, distance: float, level: float) -> None:
    values = np.array([-1.0, 1.0, -1.0, 1.0])  # mean 0, so that the margin is the distance
    n = judge(values, distance, level).needed
    half = {m: stats.t.ppf(0.5 + level / 2, m - 1) * values.std(ddof=1) / np.sqrt(m) for m in (n, int(n / 1.022))}
    assert half.pop(n) < distance
    assert n == 2 or all(width >= distance for width in half.values())
    assert judge(values, 0.01, level).needed is None  # more than ten thousand


@pytest.mark.parametrize("distance", [0.5, 0.7, 1.5])
def test_few_seeds_are_counted_one_by_one(distance: float) -> None:
    values = np.array([-1.0, 1.0, -1.0, 1.0])
    n = exceeds(values, distance).needed
    widths = [stats.t.ppf(0.975, m - 1) * values.std(ddof=1) / np.sqrt(m) for m in range(2, 60)]
    assert n == 2 + sum(width >= distance for width in widths)


def test_an_effect_at_the_margin_is_undecided() -> None:
    """Without spread the interval is a point."""
    for verdict in (exceeds([1, 1], 1), equals([1, 1], 1), equals([-1, -1], 1)):
        assert (verdict.outcome, verdict.low, verdict.high, verdict.needed) == (
            "undecided", verdict.estimate, verdict.estimate, None,
        )  # fmt: skip
    assert (exceeds([1, 1], 0.9).outcome, exceeds([1, 1], 1.1).outcome) == ("supported", "contradicted")
    for effect, outcome in ((1.1, "supported"), (0.9, "contradicted")):
        assert {equals([sign, sign], effect).outcome for sign in (1, -1)} == {outcome}


def test_the_level_is_95_percent_unless_said() -> None:
    values = [0.0, 1.0, 3.0]
    interval = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    for verdict in (exceeds(values, 0.5), equals(values, 0.5)):
        assert ((verdict.low, verdict.high), verdict.n) == (pytest.approx(interval), 3)
    assert exceeds([1, 1], 0.5, resolution=2).outcome == "undecided"


def test_half_of_the_cases_are_no_majority() -> None:
    assert most(["supported", "undecided"]) == "undecided"
    assert most(["supported", "contradicted"]) == "contradicted"
    assert most(["supported", "supported", "undecided", "undecided"]) == "undecided"
    assert most(["supported", "undecided", "contradicted"]) == "undecided"
    assert (most(["contradicted"]), most(["supported"])) == ("contradicted", "supported")


def test_no_cases_decide_nothing() -> None:
    assert most([]) == "undecided"


@pytest.mark.parametrize(
    ("outcomes", "judged"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "undecided"], "undecided"),
        (["undecided"], "undecided"),
        (["supported", "contradicted", "undecided"], "contradicted"),
        ([], "undecided"),
    ],
)
def test_what_is_to_hold_everywhere_fails_where_one_case_does(outcomes, judged) -> None:
    assert every(outcomes) == judged
