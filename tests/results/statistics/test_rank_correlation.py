"""Rank correlations: scipy's, by hand over one setting, and intervals that cover."""

import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

from sambench.results.statistics.rank_correlation import (
    granulated_tau,
    kendall_tau,
    one_setting_apart,
    rank_correlations,
)


@pytest.mark.parametrize("levels", [3, 1000])
def test_tau_is_that_of_scipy_with_and_without_ties(levels):
    rng = np.random.default_rng(levels)
    a, b = rng.integers(levels, size=(2, 20, 9)).astype(float)
    expected = [stats.kendalltau(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(kendall_tau(a, b), expected, rtol=1e-12)
    assert math.isnan(kendall_tau([1.0, 1.0], [1.0, 2.0]))


def test_granulated_tau_looks_at_pairs_that_differ_in_one_setting():
    settings = [{"variant": v, "rho": r} for v in ("sam", "asam") for r in ("1", "2", "3")] + [{"variant": "sgd"}]
    groups = one_setting_apart(settings)
    assert groups == {"rho": [[0, 1, 2], [3, 4, 5]], "variant": [[0, 3], [1, 4], [2, 5]]}
    measure = np.array([1.0, 2, 3, 10, 11, 12, 0])
    error = np.array([3.0, 2, 1, 13, 12, 11, 5])
    assert granulated_tau(measure, error, groups) == pytest.approx((-1 + 1) / 2)
    assert granulated_tau(measure, error, {"rho": groups["rho"]}) == -1
    assert kendall_tau(measure, error) > 0  # over all methods it looks otherwise: Simpson's paradox


def test_an_interval_holds_the_correlation_of_the_true_means():
    truth, rng = np.arange(5.0), np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        runs = [truth[m] + 0.5 * rng.normal(size=(2, 10)) for m in range(5)]
        ((found,),) = rank_correlations([[one[0] for one in runs]], [one[1] for one in runs], rng, resamples=200)
        assert found is not None
        assert -1 <= found.low <= found.estimate <= found.high <= 1
        hits += found.low <= 1 <= found.high
    assert hits >= 95
    assert rank_correlations([[[1.0]] * 3], [[1.0], [2.0], [3.0]], rng) == [[None]]


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_that_of_the_statistic_over_resampled_runs(level):
    """The statistic is the mean of the first method, whose values are ones and zeros: binomial."""
    ones = np.arange(40.0) < 12
    ((found,),) = rank_correlations(
        [[ones, [1.0]]], [ones, [1.0]], np.random.default_rng(0), [lambda a, b: a[..., 0]], resamples=4000, level=level
    )
    binomial = stats.binom.ppf([0.5 - level / 2, 0.5 + level / 2], 40, 0.3) / 40
    assert found == pytest.approx((0.3, *binomial), abs=1.01 / 40)


def test_both_values_of_a_run_are_drawn_together_a_thousand_times():
    seen = []

    def statistic(a, b):
        seen.append(a.shape)
        assert (a == -b).all()
        return kendall_tau(a, b)

    values = [[1.0, 2.0, 4.0], [8.0, 16.0], [32.0, 64.0]]
    found = rank_correlations(
        [values], [[-x for x in one] for one in values], np.random.default_rng(0), [statistic] * 2
    )
    assert found == [[(-1, -1, -1)] * 2]
    assert sorted(seen) == [(1, 3)] * 2 + [(1, 1000, 3)] * 2


def test_quantities_beside_each_other_are_as_each_alone():
    rng = np.random.default_rng(0)
    groups = {"rho": [[0, 1, 2], [3, 4]], "lr": [[0, 3], [1, 4]]}
    statistics = [kendall_tau, partial(granulated_tau, groups=groups)]
    sizes = (3, 1, 4, 2, 3)
    quantities = [[rng.integers(levels, size=n).astype(float) for n in sizes] for levels in (1, 3, 1000)]
    error = [rng.normal(size=n) for n in sizes]
    together = rank_correlations(quantities, error, np.random.default_rng(1), statistics)
    alone = [rank_correlations([one], error, np.random.default_rng(1), statistics)[0] for one in quantities]
    assert together == alone
    assert together[0][0] is None
    assert together[1][0] is not None


def test_what_is_no_number_has_no_rank():
    found = kendall_tau([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]] * 2)
    assert np.isnan(found[0])
    assert found[1] == 1
    assert kendall_tau([1.0, np.inf, np.inf], [1.0, 2.0, 3.0]) == pytest.approx(2 / 6**0.5)


def test_groups_of_different_sizes_count_alike():
    groups = {"rho": [[0, 1], [2, 3, 4]]}
    assert granulated_tau([1.0, 2, 1, 2, 3], [1.0, 2, 3, 2, 1], groups) == 0  # 1 of two, -1 of three
