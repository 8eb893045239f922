"""Differences within the seed: against scipy and statsmodels, coverage and error rates by simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from sambench.errors import ConfigError
from sambench.results.statistics.intervals import detectable_difference, pooled_deviation, welch
from sambench.results.statistics.multiple_comparisons import (
    DIFFERENT,
    UNSURE,
    _quantile,
    detectable_in_groups,
    different,
)
from sambench.results.statistics.pairs import compare_by_seed, detectable_within_seed, pair_deviation, paired

CORRELATIONS = (-0.2, 0.0, 0.3, 0.7)


@pytest.mark.parametrize("n", [2, 3, 5, 20])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_paired_is_scipys_test(n: int, level: float) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.1, 1, n), rng.normal(0, 2, n)
    expected = stats.ttest_rel(a, b)
    assert paired(a, b, level) == pytest.approx(
        ((a - b).mean(), *expected.confidence_interval(level), expected.pvalue), rel=1e-9
    )


def test_equal_pairs_prove_no_more_than_their_resolution() -> None:
    assert paired([1, 2], [1, 2]) == (0, 0, 0, 1)
    assert paired([2, 3], [1, 2]) == (1, 1, 1, 0)
    found = paired([0.95] * 5, [0.95] * 5, resolution=0.01)
    half = stats.t.ppf(0.975, 4) * 0.01 / np.sqrt(6 * 5)
    assert found == pytest.approx((0, -half, half, 1))


@pytest.mark.parametrize(("n", "power", "alpha"), [
    (2, 0.8, 0.05), *((n, *two) for n in (3, 5, 10, 50) for two in ((0.8, 0.05), (0.9, 0.1)))
])  # fmt: skip
def test_the_detectable_difference_is_statsmodels(n: int, power: float, alpha: float) -> None:
    expected = TTestPower().power(detectable_within_seed(n, power=power, alpha=alpha), n, alpha)
    assert expected == pytest.approx(power, rel=1e-6)


def test_power_and_level_are_the_usual_ones_unless_said() -> None:
    usual = {"power": 0.8, "alpha": 0.05}
    assert detectable_within_seed(5) == detectable_within_seed(5, **usual)
    assert detectable_difference(5) == detectable_difference(5, **usual)
    assert detectable_in_groups(5, 3) == detectable_in_groups(5, 3, **usual)


def test_five_common_seeds_are_compared_within_the_seed() -> None:
    a = {seed: 0.9 + 0.01 * seed + 0.001 * (seed % 2) for seed in range(6)}
    b = {seed: 0.9 + 0.01 * seed for seed in range(1, 8)}
    found = compare_by_seed(a, b)
    assert found is not None
    assert (found.within_seed, found.n) == (True, (5, 5))
    common = range(1, 6)
    expected = paired([a[s] for s in common], [b[s] for s in common])
    assert found[:4] == expected
    spread = np.std([a[s] - b[s] for s in common], ddof=1)
    assert found.detectable == pytest.approx(spread * detectable_within_seed(5))


def test_fewer_common_seeds_are_two_samples_and_fewer_than_three_runs_nothing() -> None:
    a, b = {0: 0.9, 1: 0.92, 2: 0.91, 3: 0.9}, {2: 0.8, 3: 0.82, 9: 0.81}
    found = compare_by_seed(a, b)
    assert found is not None
    assert (found.within_seed, found.n) == (False, (4, 3))
    assert found[:4] == welch(list(a.values()), list(b.values()))
    spread = pooled_deviation([list(a.values()), list(b.values())])
    assert found.detectable == pytest.approx(spread * detectable_difference(4, 3))
    assert compare_by_seed(a, {0: 0.1, 1: 0.1}) is None


@pytest.mark.parametrize(("n", "variances"), [(4, 1), (5, 2)])
def test_equal_values_differ_detectably_by_no_less_than_rounding_allows(n: int, variances: int) -> None:
    """Rounding to a step has the variance step²/12; a difference within the seed has it twice."""
    equal = dict.fromkeys(range(n), 0.9)
    found = compare_by_seed(equal, equal, resolution=0.01)
    assert found is not None
    factor = detectable_within_seed(n) if found.within_seed else detectable_difference(n)
    assert found.detectable == pytest.approx(0.01 * np.sqrt(variances / 12) * factor)


def test_the_typical_difference_is_the_mean_square_over_pairs() -> None:
    values = np.random.default_rng(0).normal(size=(4, 7))
    squares = [np.var(values[i] - values[j], ddof=1) for i in range(4) for j in range(i)]
    assert pair_deviation(values) == pytest.approx(np.sqrt(np.mean(squares)))


def test_bad_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="equally many values"):
        paired([1, 2], [1, 2, 3])
    with pytest.raises(ConfigError, match="at least 2 pairs"):
        detectable_within_seed(1)
    for values in ([[1.0, 2.0]], [1.0, 2.0], [[1.0, 2.0], [1.0, np.nan]]):
        with pytest.raises(ConfigError, match="finite"):
            pair_deviation(values)
    assert pair_deviation([[1.0, 2.0], [1.0, 4.0]]) == pytest.approx(np.sqrt(2))


# -- simulations ---------------------------------------------------------------------------------------------------


def draw(tables: int, n: int, k: int, r: float, case: str) -> np.ndarray:
    """Draw tables (tables, n, k) of k methods with equal means, correlated over n seeds.

    Args:
        tables: number of tables.
        n: number of seeds.
        k: number of methods.
        r: their correlation, or the smallest possible one for so many.
        case: ``alike``; ``wild``: one row has five times the deviation; ``diverged``: one run of one row did;
            ``unlike``: two methods are correlated with each other, the others with each other, and no more.
    """
    correlation = np.full((k, k), max(r, -1 / (k - 1)))
    if case == "unlike":
        correlation[:2, 2:] = correlation[2:, :2] = 0
    np.fill_diagonal(correlation, 1)
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(values.clip(0))
    found = np.random.default_rng([n, k]).normal(size=(tables, n, k)) @ root.T
    if case == "wild":
        found[:, :, 0] *= 5
    if case == "diverged":
        found[:, 0, 0] -= 60
    return found


def coverage(n: int, r: float, case: str, tables: int) -> float:
    """Return the share of intervals of the rule, by n, that hold the true difference."""
    inside = 0
    for table in draw(tables, n, 2, r, case):
        found = compare_by_seed(*(dict(enumerate(column)) for column in table.T))
        assert found is not None
        inside += found.low <= 0 <= found.high
    return inside / tables


def blocks_differ(tables: np.ndarray) -> np.ndarray:
    """Compare all pairs by Tukey's test on the residuals of method + seed, with the doubt rule of the groups.

    Where the rows' residual variances differ, by the differences' own variances: (tables, k, k).
    """
    n, k = tables.shape[1:]
    means = tables.mean(1)
    apart = tables - means[:, None]
    residuals = apart - apart.mean(2, keepdims=True)
    degrees = (n - 1) * (k - 1)
    gaps = np.abs(means[:, :, None] - means[:, None])
    pooled = gaps / np.sqrt((residuals**2).sum((1, 2)) / degrees / n)[:, None, None] > _quantile(k, degrees, 0.05)
    if k == 2:
        return pooled
    covariance = np.einsum("tni,tnj->tij", apart, apart) / (n - 1)
    variances = np.einsum("tii->ti", covariance)
    spread = (variances[:, :, None] + variances[:, None] - 2 * covariance).clip(1e-12)
    own = gaps / np.sqrt(spread / (2 * n)) > _quantile(k, n - 1, 0.05)
    rows = residuals.var(1, ddof=1)
    bartlett = (n - 1) * (k * np.log(rows.mean(1)) - np.log(rows).sum(1)) / (1 + (k + 1) / (3 * k * (n - 1)))
    p = stats.chi2.sf(bartlett, k - 1)[:, None, None]
    return np.where(p >= UNSURE, pooled, np.where(p < DIFFERENT, own, pooled & own))


def errs(n: int, k: int, r: float, case: str, tables: int) -> tuple[float, float]:
    """Return the share of tables of equal methods that blocks and today's groups split; one diverged row aside."""
    drawn = draw(tables, n, k, r, case)
    judged = slice(case == "diverged", None)
    blocks = blocks_differ(drawn)[:, judged, judged].any((1, 2)).mean()
    groups = np.mean([different(list(table.T))[judged, judged].any() for table in drawn])
    return float(blocks), float(groups)


@pytest.mark.parametrize("r", [0.0, 0.7])
def test_intervals_within_the_seed_cover(r: float) -> None:
    assert 0.93 <= coverage(5, r, "alike", 1500) <= 0.97


def test_blocks_are_no_ground_for_groups() -> None:
    """A run that diverged makes them split equal methods, which the tests of the groups do less."""
    blocks, groups = errs(5, 14, 0.3, "diverged", 300)
    assert blocks > 0.15
    assert groups < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("r", CORRELATIONS)
@pytest.mark.parametrize("case", ["alike", "wild"])
def test_the_rule_covers_from_five_seeds_on(n: int, r: float, case: str) -> None:
    assert 0.93 <= coverage(n, r, case, 4000) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("r", CORRELATIONS)
def test_at_three_seeds_the_rule_covers_unless_seeds_oppose(r: float) -> None:
    """Welch's interval takes the runs as independent: with what they share it is too wide, never too narrow."""
    assert (0.92 if r < 0 else 0.94) <= coverage(3, r, "alike", 4000)


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 14, 50])
@pytest.mark.parametrize("n", [3, 5, 10, 20])
@pytest.mark.parametrize("r", CORRELATIONS)
def test_groups_keep_their_error_rate_whatever_seeds_share(k: int, n: int, r: float) -> None:
    """Four standard errors of the simulation above 5 %, and 6.5 % for opposed seeds, which groups do not allow for."""
    tables = 500
    _, groups = errs(n, k, r, "alike", tables)
    assert groups <= (0.065 if r < 0 else 0.05) + 4 * (0.05 * 0.95 / tables) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("k", [14, 50])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_blocks_err_where_some_methods_share_more_than_others(k: int, n: int) -> None:
    blocks, groups = errs(n, k, 0.7, "unlike", 400)
    assert blocks > 0.06 > groups
