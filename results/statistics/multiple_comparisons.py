"""Tie groups: which methods of a table differ significantly, all pairs compared at once.

Testing every method against the best one by plain tests splits ten equal methods in half of all tables. The studentised
range does not: it is the distribution of the largest difference among k equal methods.

``scipy.stats.tukey_hsd`` makes the same two tests (``equal_var``). This module differs from it in two ways. No variance
is taken to be smaller than that of rounding, resolution²/12, so that a few equal accuracies do not look like certainty.
And only decisions are computed: cached quantiles at whole degrees of freedom decide nearly all pairs, where scipy
integrates a tail for every pair. Measured with 50 methods of 3 to 10 runs and an empty cache, :func:`tukey` is 16 to 45
times and :func:`games_howell` 3 to 32 times faster than scipy 1.17, with the same decisions.

Runs of one seed are a block, but the groups do not use it. Tukey's test on the residuals of method + seed, with the
differences' own variances where Bartlett's test finds the rows' unequal, finds more, and was simulated beside these
tests: it errs in 3 to 6 % of tables when all methods are correlated alike, but in 8 to 19 % when some are correlated
more than others, which no row's variance shows (as with other numbers of epochs in one table), and in 23 to 47 % at
n = 5 and 3 when one run of one row diverged. These tests stay below 6 % in the first two cases, the further the more
seeds share, and at 13 and 10 % in the third at worst. Both are weak where one row has five times the deviation: with
independent seeds these tests err in 15, 13, 5 and 7 % at n = 3, 5, 10 and 20 if it is one of 14 rows, and in 31, 18, 11
and 8 % if one of 50 (blocks: 22, 21, 11 and 8, and 42, 48, 25 and 13). A pair alone has no such doubt: :mod:`.pairs`.
"""

import math
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ...errors import ConfigError
from .intervals import Floats, as_sample, noncentrality
from .studentized_range import quantile, tail

Bools = NDArray[np.bool_]

UNSURE = 0.2  # p-value of Bartlett's test below which the variances may differ
DIFFERENT = 0.001  # p-value below which they are taken to differ


class _Summary(NamedTuple):
    """Counts, means and variances (k,) of k samples."""

    counts: Floats
    means: Floats
    variances: Floats


def tukey(groups: Sequence[ArrayLike], alpha: float = 0.05, resolution: float = 0.0) -> Bools:
    """Compare all pairs of means of samples that share one variance (Tukey's HSD; Kramer's form for unequal sizes).

    Pair (i, j) differs when |mean_i - mean_j| / √(s² (1/n_i + 1/n_j) / 2) exceeds the studentised range's
    quantile for k means and N - k degrees of freedom, s² being the pooled variance.

    Args:
        groups: k >= 2 samples (n_i,), n_i >= 2.
        alpha: the probability of finding any difference when all k means are equal.
        resolution: the step of the measurement; see :func:`different`.

    Returns:
        (k, k) symmetric, ``True`` where two means differ.
    """
    summary = _summarize(groups, resolution)
    degrees = summary.counts.sum() - len(summary.counts)
    pooled = ((summary.counts - 1) * summary.variances).sum() / degrees
    return _exceeds(summary.means, np.full(len(summary.counts), pooled) / summary.counts, degrees, alpha)


@lru_cache(maxsize=1024)
def detectable_in_groups(n: int, k: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Find the difference of two of k means, in standard deviations, that :func:`tukey` finds with this power.

    It grows with k, because comparing all pairs at once takes a larger difference than one comparison
    (:func:`~sambench.results.statistics.intervals.detectable_difference`, which it is for k = 2).

    Args:
        n: number of runs of each method, n >= 2.
        k: number of methods, k >= 2.
        power: the probability of finding a difference of this size.
        alpha: the probability of finding any difference when all k means are equal.

    Example:
        >>> [round(detectable_in_groups(10, k), 2) for k in (2, 10, 20)]
        [1.32, 1.83, 1.99]
    """
    degrees = k * (n - 1)
    return math.sqrt(2 / n) * noncentrality(_quantile(k, degrees, alpha) / math.sqrt(2), degrees, power)


def games_howell(groups: Sequence[ArrayLike], alpha: float = 0.05, resolution: float = 0.0) -> Bools:
    """Compare all pairs of means of samples with a variance of their own each (Games and Howell, 1976).

    As :func:`tukey`, with √((s_i²/n_i + s_j²/n_j) / 2) below the fraction and the Welch-Satterthwaite degrees of
    freedom of the pair. It errs in more than alpha of tables for small samples: with ten equal methods in 10, 8
    and 6 % at n = 3, 5 and 10.

    Arguments and result are those of :func:`tukey`.
    """
    summary = _summarize(groups, resolution)
    squares = summary.variances / summary.counts
    parts = squares**2 / (summary.counts - 1)
    with np.errstate(invalid="ignore"):
        degrees = (squares[:, None] + squares) ** 2 / (parts[:, None] + parts)
    # Two samples without spread have no degrees of freedom; any number will do, since q is 0 or infinite.
    return _exceeds(summary.means, squares, np.nan_to_num(degrees, nan=1.0), alpha)


def different(groups: Sequence[ArrayLike], alpha: float = 0.05, resolution: float = 0.0) -> Bools:
    """Compare all pairs of means without assuming that the variances are equal, or that they are not.

    Where the variances look equal (Bartlett's test, p >= 0.2) Tukey's test decides; where they clearly differ
    (p < 0.001), as when some runs diverged, that of Games and Howell; in between both must agree, because neither keeps
    its error rate there. Simulated with ten methods of equal mean, this splits them in 4.4 % of tables when their
    variances are equal too (n = 3, 5, 10), and in 7, 6 and 5 % when half of them has twice the deviation, where
    Tukey alone errs in 10 % and a choice between the two by Bartlett's test at 0.05 in 13, 11 and 7 %.

    Args:
        groups: k samples (n_i,), n_i >= 2.
        alpha: the probability of finding any difference when all k methods are equal.
        resolution: the step in which values are measured (for an accuracy 1 / examples). No variance is taken
            to be smaller than that of rounding, resolution²/12: three runs with the same number of correct
            answers do not prove that there is no spread.

    Returns:
        (k, k) symmetric, ``True`` where two methods differ.

    Example:
        >>> different([[1.0, 1.2, 1.1], [1.1, 1.3, 1.0], [5.0, 5.1, 5.3]]).astype(int).tolist()
        [[0, 0, 1], [0, 0, 1], [1, 1, 0]]
    """
    if len(groups) < 2:
        return np.zeros((len(groups), len(groups)), dtype=bool)
    p = _bartlett(_summarize(groups, resolution))
    if p >= UNSURE:
        return tukey(groups, alpha, resolution)
    if p < DIFFERENT:
        return games_howell(groups, alpha, resolution)
    pooled = tukey(groups, alpha, resolution)
    return pooled & games_howell(groups, alpha, resolution) if pooled.any() else pooled


def compact_letters(differ: ArrayLike, order: ArrayLike) -> list[str]:
    """Write pairwise decisions as letters: two methods share a letter exactly when they do not differ.

    The letters are the largest sets of methods without a decided pair, found by insertion and absorption
    (Piepho, 2004), and named from the best method on.

    Args:
        differ: (k, k) symmetric, ``True`` where two methods differ.
        order: (k,) the methods' indices, best first.

    Returns:
        k texts, such as ``"ab"``; beyond 52 letters, numbers in brackets.

    Example:
        >>> compact_letters([[0, 0, 1], [0, 0, 0], [1, 0, 0]], [0, 1, 2])
        ['a', 'ab', 'b']
    """
    ranked = np.asarray(order, dtype=int)
    matrix = np.asarray(differ, dtype=bool)[np.ix_(ranked, ranked)]
    columns = [frozenset(range(len(ranked)))]
    for i, j in zip(*np.nonzero(np.triu(matrix, 1)), strict=True):
        split = [part for column in columns for part in _without_pair(column, int(i), int(j))]
        columns = _largest(split)
    columns.sort(key=sorted)
    letters = [""] * len(ranked)
    for name, column in enumerate(columns):
        for rank in sorted(column):
            letters[ranked[rank]] += string.ascii_letters[name] if name < 52 else f"({name + 1})"
    return letters


def _without_pair(column: frozenset[int], i: int, j: int) -> list[frozenset[int]]:
    return [column - {i}, column - {j}] if {i, j} <= column else [column]


def _largest(columns: list[frozenset[int]]) -> list[frozenset[int]]:
    kept: list[frozenset[int]] = []
    for column in sorted(set(columns), key=lambda column: (-len(column), sorted(column))):
        if not any(column <= other for other in kept):
            kept.append(column)
    return kept


def _summarize(groups: Sequence[ArrayLike], resolution: float) -> _Summary:
    if len(groups) < 2:
        raise ConfigError(f"a comparison needs at least 2 methods, got {len(groups)}")
    samples = [as_sample(group, 2) for group in groups]
    variances = np.array([sample.var(ddof=1) for sample in samples])
    return _Summary(
        counts=np.array([len(sample) for sample in samples], dtype=np.float64),
        means=np.array([sample.mean() for sample in samples]),
        variances=np.maximum(variances, resolution**2 / 12),
    )


def _bartlett(summary: _Summary) -> float:
    """Test k normal samples for equal variances (Bartlett, 1937), from their summary: the p-value."""
    if not summary.variances.any():
        return 1.0
    if not summary.variances.all():
        return 0.0
    degrees = summary.counts - 1
    total, k = degrees.sum(), len(degrees)
    pooled = (degrees * summary.variances).sum() / total
    statistic = total * np.log(pooled) - (degrees * np.log(summary.variances)).sum()
    correction = 1 + ((1 / degrees).sum() - 1 / total) / (3 * (k - 1))
    return float(special.chdtrc(k - 1, max(0.0, statistic / correction)))


def _exceeds(means: Floats, squares: Floats, degrees: ArrayLike, alpha: float) -> Bools:
    """Compare all studentised differences with the studentised range's quantile.

    Args:
        means: (k,) means of the samples.
        squares: (k,) squared standard errors of the means.
        degrees: degrees of freedom, one for all pairs or (k, k).
        alpha: the upper tail probability of the quantile.
    """
    k = len(means)
    gaps = np.abs(means[:, None] - means)
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(gaps == 0, 0.0, gaps / np.sqrt((squares[:, None] + squares) / 2))
    degrees = np.broadcast_to(np.asarray(degrees, dtype=np.float64), (k, k))
    result = q == np.inf  # without spread
    pairs = np.triu(np.isfinite(q) & (q > 0))
    if pairs.any():
        # The quantile falls with the degrees of freedom: those at the fewest and at the most decide nearly all pairs.
        fewest, most = max(1, math.floor(degrees[pairs].min())), math.ceil(degrees[pairs].max())
        result |= q > _quantile(k, fewest, alpha)
        if fewest < most:
            for i, j in zip(*np.nonzero(pairs & ~result & (q > _quantile(k, most, alpha))), strict=True):
                result[i, j] = result[j, i] = tail(float(q[i, j]), k, float(degrees[i, j])) < alpha
    return result


@lru_cache(maxsize=4096)
def _quantile(k: int, degrees: int, alpha: float) -> float:
    return quantile(k, degrees, alpha)
