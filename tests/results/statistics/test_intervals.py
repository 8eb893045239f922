"""Statistics of few runs, against scipy, statsmodels, enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from sambench.errors import ConfigError
from sambench.results.statistics.intervals import (
    detectable_difference,
    expected_best,
    hedges_g,
    holm,
    noncentrality,
    pooled_deviation,
    probability_of_improvement,
    t_interval,
    welch,
)


def samples(seed: int, *sizes: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(rng.normal(), rng.uniform(0.5, 2), size) for size in sizes]


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_t_interval_is_scipys(n: int) -> None:
    (values,) = samples(n, n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert t_interval(values, 0.9) == pytest.approx((values.mean(), expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_cover_the_mean_in_95_percent(n: int) -> None:
    values = np.random.default_rng(n).normal(0.93, 0.002, (2500, n))
    covered = sum(low <= 0.93 <= high for _, low, high in map(t_interval, values))
    assert 0.93 <= covered / len(values) <= 0.97


@pytest.mark.parametrize(("n", "m"), [(3, 3), (5, 5), (3, 10), (10, 10)])
def test_difference_intervals_cover_with_unequal_variances(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    first, second = rng.normal(1, 1, (1500, n)), rng.normal(0, 2, (1500, m))
    intervals = [welch(a, b) for a, b in zip(first, second, strict=True)]
    assert 0.93 <= np.mean([low <= 1 <= high for _, low, high, _ in intervals]) <= 0.97


@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 8), (10, 10)])
def test_welch_is_scipys(n: int, m: int) -> None:
    a, b = samples(n + m, n, m)
    expected = stats.ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert welch(a, b) == pytest.approx((a.mean() - b.mean(), interval.low, interval.high, expected.pvalue), rel=1e-9)


def test_welch_without_spread() -> None:
    assert welch([1, 1], [1, 1, 1]) == (0, 0, 0, 1)
    assert welch([2, 2], [1, 1, 1]) == (1, 1, 1, 0)


def test_rounded_values_have_at_least_the_spread_of_rounding() -> None:
    resolution = 0.0025
    low, high = stats.t.interval(0.95, 2, 0.95, resolution / math.sqrt(12 * 3))
    assert t_interval([0.95] * 3, resolution=resolution) == pytest.approx((0.95, low, high))
    assert t_interval([0.9, 0.95, 1.0], resolution=resolution) == t_interval([0.9, 0.95, 1.0])
    found = welch([0.95] * 3, [0.9525] * 3, resolution=resolution)
    assert found.p == pytest.approx(
        stats.ttest_ind_from_stats(0.95, resolution / 12**0.5, 3, 0.9525, resolution / 12**0.5, 3).pvalue
    )
    assert found.low < -0.0025 < found.high


@pytest.mark.parametrize("n", [2, 3])
def test_intervals_of_rounded_accuracies_cover_the_mean(n: int) -> None:
    """A share of 100 examples and a spread over seeds of half that step: many samples are all equal."""
    truth = 0.9537
    values = np.random.default_rng(n).normal(truth, 0.005, (2000, n)).round(2)
    covered = np.mean([low <= truth <= high for _, low, high in (t_interval(v, resolution=0.01) for v in values)])
    plain = np.mean([low <= truth <= high for _, low, high in map(t_interval, values)])
    assert covered >= 0.93
    assert plain < covered  # the purpose of the resolution


@pytest.mark.parametrize("m", [1, 2, 7, 40])
def test_holm_is_statsmodels(m: int) -> None:
    p = np.random.default_rng(m).random(m) ** 3
    p[: m // 3] = p[0]  # ties
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], rel=1e-12)


def test_holm_of_nothing() -> None:
    assert holm([]).shape == (0,)


def test_hedges_g_is_unbiased_where_cohens_d_is_not() -> None:
    rng = np.random.default_rng(0)
    pairs = list(zip(rng.normal(1.5, 1, (5000, 3)), rng.normal(0, 1, (5000, 3)), strict=True))
    g = np.mean([hedges_g(a, b) for a, b in pairs])
    d = np.mean([(a.mean() - b.mean()) / pooled_deviation([a, b]) for a, b in pairs])
    assert g == pytest.approx(1.5, abs=0.05)
    assert d > 1.75


def test_hedges_g_without_spread() -> None:
    assert hedges_g([1, 1], [1, 1]) == 0
    assert hedges_g([1, 1], [2, 2]) == -math.inf


def test_hedges_g_of_two_samples_of_three() -> None:
    """One standard deviation apart; with 4 degrees of freedom J is Γ(2) / (√2 Γ(3/2)) = √(2/π)."""
    assert hedges_g([1, 2, 3], [0, 1, 2]) == pytest.approx(math.sqrt(2 / math.pi))


def test_probability_of_improvement_is_mann_whitneys() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 6, 9), rng.integers(0, 6, 7)  # many ties
    assert probability_of_improvement(a, b) == pytest.approx(stats.mannwhitneyu(a, b).statistic / 63, rel=1e-12)
    assert probability_of_improvement(a, b) + probability_of_improvement(b, a) == pytest.approx(1)
    assert (probability_of_improvement([2], [1]), probability_of_improvement([1], [1])) == (1, 0.5)


def test_pooled_deviation_is_the_root_of_anovas_error() -> None:
    groups = samples(4, 3, 5, 2, 1)
    residuals = np.concatenate([group - group.mean() for group in groups])
    assert pooled_deviation(groups) == pytest.approx(math.sqrt((residuals**2).sum() / (11 - 4)))


@pytest.mark.parametrize(("n", "m", "power", "alpha"), [(3, 3, 0.8, 0.05), (10, 5, 0.9, 0.01), (64, 64, 0.8, 0.05)])
def test_detectable_difference_is_statsmodels(n: int, m: int, power: float, alpha: float) -> None:
    expected = TTestIndPower().solve_power(nobs1=n, ratio=m / n, alpha=alpha, power=power)
    assert detectable_difference(n, m, power=power, alpha=alpha) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "m", "alpha"), [(1, 2, 0.05), (2, 2, 0.001), (2, 3, 0.01)])
def test_detectable_difference_of_the_fewest_runs(n: int, m: int, alpha: float) -> None:
    degrees, shift = n + m - 2, detectable_difference(n, m, alpha=alpha) / math.sqrt(1 / n + 1 / m)
    critical = stats.t.ppf(1 - alpha / 2, degrees)
    missed = integrate.quad(
        lambda v: stats.norm.cdf(critical * math.sqrt(v / degrees) - shift) * stats.chi2.pdf(v, degrees), 0, math.inf
    )
    assert missed[0] == pytest.approx(0.2, rel=1e-5)


def test_detectable_difference_of_many_runs_is_the_normal_ones() -> None:
    normal = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * math.sqrt(2 / 5000)
    assert detectable_difference(5000) == pytest.approx(normal, rel=1e-3)


@pytest.mark.parametrize("power", [0.06, 0.2, 0.5, 0.99])
def test_the_noncentrality_has_the_power(power: float) -> None:
    critical = stats.t.ppf(0.975, 10)
    delta = noncentrality(critical, 10, power)
    assert stats.nct.sf(critical, 10, delta) + stats.nct.cdf(-critical, 10, delta) == pytest.approx(power, rel=1e-9)


def test_detectable_difference_is_found_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(detectable_difference(5), 1, (8000, 5)), rng.normal(0, 1, (8000, 5))
    assert (stats.ttest_ind(a, b, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.015)


def test_expected_best_is_the_mean_over_all_subsets() -> None:
    values = np.random.default_rng(0).normal(size=7)
    values[3] = values[5]
    expected = [np.mean([max(s) for s in itertools.combinations(values, k)]) for k in range(1, 8)]
    assert expected_best(values) == pytest.approx(expected, rel=1e-12)
    assert expected_best([0.7]) == pytest.approx([0.7])


def test_expected_best_of_many_trials() -> None:
    curve = expected_best(np.arange(2000))
    assert curve[0] == pytest.approx(999.5)
    assert curve[-1] == pytest.approx(1999)
    assert (np.diff(curve) > 0).all()


@pytest.mark.parametrize("call", [t_interval, lambda x: welch(x, [1, 2]), expected_best, lambda x: hedges_g([1, 2], x)])
@pytest.mark.parametrize("values", [[], [1.0, math.nan], [[1.0, 2.0]]])
def test_invalid_samples_are_refused(call: object, values: list[float]) -> None:
    with pytest.raises(ConfigError, match="expected a vector of at least"):
        call(values)


def test_too_few_runs_for_a_spread() -> None:
    with pytest.raises(ConfigError, match="at least 3 runs in all, got 1 and 1"):
        detectable_difference(1)
    with pytest.raises(ConfigError, match="at least 3 runs in all, got 0 and 5"):
        detectable_difference(0, 5)
    with pytest.raises(ConfigError, match="at least two runs of one method"):
        pooled_deviation([[1.0], [2.0]])
