"""Statistics over workloads, against scipy, enumeration and simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from sambench.errors import ConfigError
from sambench.results.statistics.aggregate import (
    critical_difference,
    interquartile_mean,
    performance_profile,
    score_profile,
    signed_rank_p,
    stratified_bootstrap,
)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 30])
def test_interquartile_mean_is_the_trimmed_mean(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    # Four copies of every value have the same quantile function, and a number that 4 divides.
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(np.repeat(values, 4), 0.25), rel=1e-12)


def test_performance_profile_by_hand() -> None:
    inf = np.inf
    costs = [[100, 200, inf, inf], [150, 100, 50, inf], [400, inf, 49, inf]]
    expected = [
        [0.25, 0.25, 0.5, 0.5],
        [0.25, 0.75, 0.75, 0.75],
        [0.25, 0.25, 0.25, 0.5],
    ]
    assert performance_profile(costs, [1, 1.5, 2, 4]).tolist() == expected


def test_performance_profile_refuses_invalid_costs() -> None:
    for costs in ([[0.0, 1.0]], [[np.nan, 1.0]], [1.0, 2.0], [[]]):
        with pytest.raises(ConfigError, match="array of positive numbers"):
            performance_profile(costs, [1])


def test_score_profile_counts_runs_with_equal_weight_of_workloads() -> None:
    rng = np.random.default_rng(0)
    errors = [[rng.uniform(0.1, 1, n) for n in (3, 7)] for _ in range(4)]
    taus = [1.0, 1.3, 2.0]
    best = [min(method[w].mean() for method in errors) for w in range(2)]
    expected = [
        [sum(sum(e <= tau * best[w] for e in method[w]) / len(method[w]) for w in range(2)) / 2 for tau in taus]
        for method in errors
    ]
    assert score_profile(errors, taus) == pytest.approx(np.array(expected))
    for unequal in ([[[1.0]], [[1.0], [2.0]]], [[], []], []):
        with pytest.raises(ConfigError, match="on the same workloads"):
            score_profile(unequal, taus)


def test_one_method_on_one_workload_is_the_best_there() -> None:
    assert performance_profile([[0.5]], [1]).tolist() == [[1.0]]
    assert score_profile([[[2.0]]], [1, 2]).tolist() == [[1.0, 1.0]]
    assert score_profile([[[0.0, 1.0]], [[0.0, 0.0]]], [1, 9]).tolist() == [[0.5, 0.5], [1.0, 1.0]]


def test_the_bootstrap_keeps_to_its_strata_and_its_generator() -> None:
    strata = [np.full(10, 1.0), np.array([0.0, 10.0]), np.full(3, 5.0)]

    def statistic(samples: list[np.ndarray]) -> np.ndarray:
        assert [sample.shape[-1] for sample in samples] == [10, 2, 3]
        assert (samples[0] == 1).all()
        return np.mean([sample.mean(axis=-1) for sample in samples], axis=0)

    first = stratified_bootstrap(strata, statistic, np.random.default_rng(0), resamples=200)
    assert first == stratified_bootstrap(strata, statistic, np.random.default_rng(0), resamples=200)
    assert first == pytest.approx((11 / 3, 2.0, 16 / 3))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_bootstrap_of_ones_and_zeros_is_binomial(level: float) -> None:
    strata = [np.arange(40.0) < 12, np.full(3, 2.0)]
    found = stratified_bootstrap(
        strata, lambda samples: samples[0].mean(-1), np.random.default_rng(0), resamples=4000, level=level
    )
    binomial = stats.binom.ppf([0.5 - level / 2, 0.5 + level / 2], 40, 0.3) / 40
    assert found == pytest.approx((0.3, *binomial), abs=1.01 / 40)


def test_the_bootstrap_takes_2000_samples_for_95_percent() -> None:
    drawn: list[np.ndarray] = []

    def statistic(samples: list[np.ndarray]) -> np.ndarray:
        drawn.append(samples[0].mean(axis=-1))
        return drawn[-1]

    found = stratified_bootstrap([np.arange(20.0)], statistic, np.random.default_rng(0))
    assert [one.shape for one in drawn] == [(2000,), ()]  # and the estimate
    assert found == (9.5, *np.quantile(drawn[0], [0.025, 0.975]))
    assert stratified_bootstrap([[7.0]], statistic, np.random.default_rng(0)) == (7, 7, 7)


def test_the_bootstrap_covers_with_many_seeds() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        strata = [rng.normal(mean, 1, 30) for mean in (0, 2, 7)]
        _, low, high = stratified_bootstrap(
            strata, lambda samples: sum(s.mean(axis=-1) for s in samples) / 3, rng, resamples=200
        )
        covered += low <= 3 <= high
    assert 0.91 <= covered / 200 <= 0.97


def test_the_bootstrap_needs_a_workload() -> None:
    with pytest.raises(ConfigError, match="at least one workload"):
        stratified_bootstrap([], lambda _: np.zeros(()), np.random.default_rng(0))


@pytest.mark.parametrize("n", [6, 9, 20])
def test_signed_rank_p_is_scipys(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    assert signed_rank_p(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_signed_rank_p_with_ties_is_the_enumeration_of_all_signs() -> None:
    differences = np.array([0.0, 1, 1, -1, 2, 2, 3, -4])
    ranks = stats.rankdata(np.abs(differences[1:]))
    observed = ranks[differences[1:] > 0].sum()
    sums = np.array([ranks[np.array(signs)].sum() for signs in itertools.product([False, True], repeat=7)])
    tail = min((sums <= observed).mean(), (sums >= observed).mean())
    assert signed_rank_p(differences) == pytest.approx(min(1, 2 * tail))
    assert signed_rank_p([0.0, 0.0]) == 1
    assert signed_rank_p([3.0]) == 1
    # Twice the ranks are 3, 3, 6, 8: of 16 sums 6 are at most 8, and two more are 9.
    assert signed_rank_p([-1, -1, -2, 3]) == 0.75


def test_critical_difference() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal([0.0, 3.0, 0.0, 1.0], 0.1, (12, 4))
    result = critical_difference(scores)
    assert result.ranks[[1, 3]].tolist() == [1, 2]
    assert result.letters[1] == "a"
    assert result.letters[3] == "b"
    assert result.letters[0] == result.letters[2] == "c"
    assert (result.p == result.p.T).all()
    pairs = list(itertools.combinations(range(4), 2))
    raw = [stats.wilcoxon(scores[:, i] - scores[:, j], method="exact").pvalue for i, j in pairs]
    holm = np.maximum.accumulate(np.sort(raw) * np.arange(6, 0, -1))[np.argsort(np.argsort(raw, kind="stable"))]
    assert [result.p[pair] for pair in pairs] == pytest.approx(np.minimum(holm, 1))


def test_equal_scores_share_their_mean_rank() -> None:
    scores = np.array([[1.0, 2, 2, 2, 0], [3, 3, 3, 3, 3], [5, 5, 1, 2, 5]] * 2)
    expected = np.mean([stats.rankdata(-row) for row in scores], axis=0)
    assert critical_difference(scores).ranks == pytest.approx(expected)


def test_critical_difference_finds_no_difference_between_equal_methods() -> None:
    rng = np.random.default_rng(0)
    split = [len(set(critical_difference(rng.normal(size=(10, 5))).letters)) > 1 for _ in range(200)]
    assert np.mean(split) <= 0.06


def test_six_workloads_on_which_one_method_wins_are_significant_at_5_percent() -> None:
    """The smallest p-value that they can have is 2 / 2^6."""
    scores = np.array([[0.5, 0.1]] * 6) + np.arange(6)[:, None] * [0, 0.01]
    found = critical_difference(scores)
    assert found.ranks.tolist() == [1, 2]
    assert found.p.tolist() == [[1, 0.03125], [0.03125, 1]]
    assert found.letters == ["a", "b"]
    assert critical_difference(scores, alpha=0.03125).letters == ["a", "a"]


def test_critical_difference_refuses_few_workloads() -> None:
    with pytest.raises(ConfigError, match=r"at least 6 workloads, got 5: .* p-value is 0.0625"):
        critical_difference(np.random.default_rng(0).normal(size=(5, 3)))
    with pytest.raises(ConfigError, match="methods >= 2"):
        critical_difference(np.zeros((6, 1)))
    for scores in (np.zeros(6), np.full((6, 2), np.nan)):
        with pytest.raises(ConfigError, match="must be a finite"):
            critical_difference(scores)
