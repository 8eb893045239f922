"""The difference of two methods from runs that share their seeds. Pure functions; higher values are better.

At a seed every method starts from the same weights and sees the same order, augmentation, subset and label noise: its
runs are a block, and what they share leaves their difference. With n of them the half-width of the interval within the
seed is t(n - 1) / t(2n - 2) · √(1 - r) of Welch's, r being the correlation of the two methods over seeds: it is the
narrower one from r = 0.58 on at n = 3, 0.31 at n = 5, 0.14 at n = 10. Hence the rule, which looks at nothing but the
number of seeds and so leaves nobody a choice after the runs.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from ...errors import ConfigError
from .intervals import Difference, as_sample, detectable_difference, noncentrality, pooled_deviation, t_interval, welch

LEAST_RUNS = 3
"""Number of runs below which no interval is shown and no row is in a group: two values say nothing of their spread."""

LEAST_PAIRS = 5
"""Number of common seeds from which a difference is taken within the seed."""


class PairDifference(NamedTuple):
    """What the runs of two methods say about the difference of their means, first less second.

    Attributes:
        estimate: the difference.
        low: lower end of its confidence interval.
        high: upper end.
        p: p-value of its being zero.
        within_seed: whether it was taken within the seed, or between two independent samples.
        n: number of runs of each method that it counts.
        detectable: difference that such runs find with 80 % power at 5 %, at the spread that they show.
    """

    estimate: float
    low: float
    high: float
    p: float
    within_seed: bool
    n: tuple[int, int]
    detectable: float


def compare_by_seed(
    first: Mapping[int, float], second: Mapping[int, float], level: float = 0.95, resolution: float = 0.0
) -> PairDifference | None:
    """Compare two methods: within the seed from :data:`LEAST_PAIRS` common seeds on, by Welch's interval below.

    Within the seed only common seeds count: one that a method lacks leaves the pair.

    Args:
        first: seed -> value of one method; a diverged run has the value of guessing.
        second: seed -> value of the other.
        level: confidence level of the interval.
        resolution: the step of the measurement; see :func:`~.intervals.t_interval`.

    Returns:
        The difference; ``None`` if a method has fewer than :data:`LEAST_RUNS` runs.

    Example:
        >>> gain = compare_by_seed({s: 0.9 + s / 50 for s in range(5)}, {s: 0.8 + s / 49 for s in range(5)})
        >>> gain.within_seed, gain.n, round(gain.low, 3), round(gain.high, 3)
        (True, (5, 5), 0.098, 0.1)
    """
    common = sorted(first.keys() & second.keys())
    if len(common) >= LEAST_PAIRS:
        a, b = ([values[seed] for seed in common] for values in (first, second))
        found, spread = paired(a, b, level, resolution), float(np.std(np.subtract(a, b), ddof=1))
        smallest = max(spread, resolution / math.sqrt(6)) * detectable_within_seed(len(common))
        return PairDifference(*found, True, (len(common), len(common)), smallest)
    if min(len(first), len(second)) < LEAST_RUNS:
        return None
    a, b = list(first.values()), list(second.values())
    spread = max(pooled_deviation([a, b]), resolution / math.sqrt(12))
    smallest = spread * detectable_difference(len(a), len(b))
    return PairDifference(*welch(a, b, level, resolution), False, (len(a), len(b)), smallest)


def paired(a: ArrayLike, b: ArrayLike, level: float = 0.95, resolution: float = 0.0) -> Difference:
    """Compare two means by the differences of pairs: d̄ ± t(1 - (1 - level)/2; n - 1) · s_d/√n (Student, 1908).

    Args:
        a: (n,) values of one method, n >= 2.
        b: (n,) values of the other, in the same order of seeds.
        level: confidence level of the interval.
        resolution: the step of the measurement. A difference of two rounded values has twice the variance of rounding,
            and that of the differences is not taken to be smaller.

    Example:
        >>> [round(x, 3) for x in paired([1.0, 2.0, 3.0], [0.5, 1.6, 2.4])]
        [0.5, 0.252, 0.748, 0.013]
    """
    first, second = as_sample(a, 2), as_sample(b, 2)
    if len(first) != len(second):
        raise ConfigError(f"pairs need equally many values of both methods, got {len(first)} and {len(second)}")
    mean, low, high = t_interval(first - second, level, resolution * math.sqrt(2))
    if low == high:
        return Difference(mean, mean, mean, float(mean == 0))
    degrees = len(first) - 1
    error = (high - mean) / float(special.stdtrit(degrees, 0.5 + level / 2))
    return Difference(mean, low, high, 2 * float(special.stdtr(degrees, -abs(mean) / error)))


def pair_deviation(values: ArrayLike) -> float:
    """Estimate the typical standard deviation of a difference within the seed, over all pairs of methods.

    It is the root mean square over pairs: √(2 Σ e² / ((n - 1)(k - 1))), e being the residuals of method + seed.

    Args:
        values: (k, n) values of k >= 2 methods at the same n >= 2 seeds.

    Example:
        >>> pair_deviation([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
        0.0
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or min(matrix.shape) < 2 or not np.isfinite(matrix).all():
        raise ConfigError(f"expected a finite (methods >= 2, seeds >= 2) array, got shape {matrix.shape}")
    residuals = matrix - matrix.mean(axis=0) - matrix.mean(axis=1, keepdims=True) + matrix.mean()
    return math.sqrt(2 * float((residuals**2).sum()) / ((matrix.shape[0] - 1) * (matrix.shape[1] - 1)))


@lru_cache(maxsize=1024)
def detectable_within_seed(n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Find the difference of means that a paired t-test finds with this power.

    It is in standard deviations of the differences within a seed, which are √(2 (1 - r)) of those between seeds. It
    solves P(|T| > t(1 - alpha/2; n - 1)) = power for δ, T having the noncentrality δ √n.

    Args:
        n: number of pairs, n >= 2.
        power: the probability of finding a difference of this size.
        alpha: the probability of finding one where there is none.

    Example:
        >>> [round(detectable_within_seed(n), 2) for n in (5, 10, 20)]
        [1.68, 1.0, 0.66]
    """
    if n < 2:
        raise ConfigError(f"a paired test needs at least 2 pairs, got {n}")
    return noncentrality(float(special.stdtrit(n - 1, 1 - alpha / 2)), n - 1, power) / math.sqrt(n)
