"""What holds across workloads: robust means, profiles, the stratified bootstrap, critical differences.

Two kinds of claim must not be mixed. *On these workloads* only the seeds vary: :func:`stratified_bootstrap`.
*On workloads like these* the workloads are the sample: :func:`.statistics.t_interval` over their means. With a
spread of methods over workloads as large as that over seeds, the first covers the second kind in about 60 % of
cases only.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ...errors import ConfigError
from .intervals import Floats, Interval, as_sample, holm
from .multiple_comparisons import compact_letters

LEAST_WORKLOADS = 6


class CriticalDifference(NamedTuple):
    """Mean ranks (methods,), 1 best; Holm-adjusted p-values (methods, methods); letters of the tie groups."""

    ranks: Floats
    p: Floats
    letters: list[str]


def interquartile_mean(values: ArrayLike) -> Floats:
    """Average the middle half of the values: the mean of their quantile function between 1/4 and 3/4.

    Values at the edge count with the part of them that lies inside, so that it is exact for every n; for n
    divisible by 4 it is the mean of what is left without the lowest and the highest quarter.

    Args:
        values: (..., n), n >= 1.

    Returns:
        (...), the mean over the last axis.

    Example:
        >>> float(interquartile_mean([0, 1, 3, 100]))
        2.0
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    edges = np.arange(ordered.shape[-1] + 1) / ordered.shape[-1]
    weights = np.diff(np.clip(edges, 0.25, 0.75))
    return ordered @ weights / weights.sum()


def performance_profile(costs: ArrayLike, factors: ArrayLike) -> Floats:
    """Share of workloads that a method solves within a factor of the best method's cost (Dolan and Moré, 2002).

    rho_m(τ) = mean over workloads w of [cost(m, w) <= τ · min over methods of cost(·, w)]. A workload that
    no method solves counts against every method.

    Args:
        costs: (methods, workloads) positive, such as gradient evaluations to a target; infinite where it was missed.
        factors: (t,) values of τ >= 1.

    Returns:
        (methods, t) shares in [0, 1].

    Example:
        >>> performance_profile([[100, 300], [200, 150]], [1, 1.5, 2]).tolist()
        [[0.5, 0.5, 1.0], [0.5, 0.5, 1.0]]
    """
    matrix = np.asarray(costs, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0 or not (matrix > 0).all():
        raise ConfigError(f"costs must be a (methods, workloads) array of positive numbers, got {costs!r:.80}")
    best = matrix.min(axis=0)
    ratios = np.where(np.isfinite(matrix), matrix / np.where(np.isfinite(best), best, 1.0), np.inf)
    taus = np.asarray(factors, dtype=np.float64)
    return (ratios[:, :, None] <= taus[None, None, :]).mean(axis=1)


def score_profile(errors: Sequence[Sequence[ArrayLike]], factors: ArrayLike) -> Floats:
    """Share of runs whose error is within a factor of the best method's, each workload with equal weight.

    The run-score distribution of Agarwal et al. (2021), with the scale of Dolan and Moré (2002): for method m,

        rho_m(τ) = mean over w of share of seeds i with [error(m, w, i) <= τ · min over methods of mean error on w].

    Args:
        errors: for each method one sample (n,) a workload, >= 0; the same workloads in the same order.
        factors: (t,) values of τ >= 1.

    Returns:
        (methods, t) shares in [0, 1]. Where the best method makes no error, only runs without error are within.

    Example:
        >>> score_profile([[[1.0, 3.0]], [[2.0, 4.0]]], [1, 1.5, 2]).tolist()
        [[0.5, 1.0, 1.0], [0.5, 0.5, 1.0]]
    """
    samples = [[as_sample(sample, 1) for sample in method] for method in errors]
    if len({len(method) for method in samples}) != 1 or not samples[0]:
        raise ConfigError("every method needs errors on the same workloads, at least one")
    taus = np.asarray(factors, dtype=np.float64)
    best = [min(float(method[w].mean()) for method in samples) for w in range(len(samples[0]))]
    shares = [
        [(sample[:, None] <= taus * least).mean(axis=0) for sample, least in zip(method, best, strict=True)]
        for method in samples
    ]
    return np.array(shares).mean(axis=1)


def stratified_bootstrap(
    strata: Sequence[ArrayLike],
    statistic: Callable[[list[Floats]], Floats],
    rng: np.random.Generator,
    *,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic over workloads, resampling the seeds within each of them.

    It needs many seeds: with 5 of them a nominal 95 % interval covers 83 %. It holds for these workloads only.

    Args:
        strata: one sample (n_w,) of values for each workload w.
        statistic: function of the samples of all workloads, each (..., n_w), to (...), such as a mean over workloads.
        rng: generator of the resampling.
        resamples: number of bootstrap samples.
        level: nominal coverage of the interval, in (0, 1).

    Example:
        >>> gain = stratified_bootstrap(
        ...     [[1.0, 1.0], [3.0, 3.0]], lambda samples: sum(s.mean(-1) for s in samples) / 2, np.random.default_rng(0)
        ... )
        >>> [float(x) for x in gain]
        [2.0, 2.0, 2.0]
    """
    samples = [as_sample(stratum, 1) for stratum in strata]
    if not samples:
        raise ConfigError("the bootstrap needs at least one workload")
    sizes = [len(sample) for sample in samples]
    at = np.split(rng.integers(np.repeat(sizes, sizes), size=(resamples, sum(sizes))), np.cumsum(sizes)[:-1], axis=1)
    draws = statistic([sample[chosen] for sample, chosen in zip(samples, at, strict=True)])
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(statistic(samples)), float(low), float(high))


def critical_difference(scores: ArrayLike, alpha: float = 0.05) -> CriticalDifference:
    """Rank methods over workloads and test which differ: Wilcoxon signed-rank tests of all pairs, with Holm.

    Not Nemenyi's test, in which the verdict on A and B depends on which other methods were in the table
    (Benavoli et al., 2016).

    Args:
        scores: (workloads, methods), one number each, such as the mean accuracy over seeds; higher is better.
        alpha: the probability of finding any difference where there is none.

    Raises:
        ConfigError: fewer than 6 workloads, with which the test cannot reach p < 0.05 whatever the scores are.
    """
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 2 or not np.isfinite(matrix).all():
        raise ConfigError(f"scores must be a finite (workloads, methods >= 2) array, got shape {matrix.shape}")
    workloads, methods = matrix.shape
    if workloads < LEAST_WORKLOADS:
        raise ConfigError(
            f"critical differences need at least {LEAST_WORKLOADS} workloads, got {workloads}: with so few, "
            f"the smallest possible p-value is {2.0 ** (1 - workloads):g}. Compare within each workload instead."
        )
    ranks = np.array([_mean_ranks(-scores) for scores in matrix]).mean(axis=0)
    pairs = [(i, j) for i in range(methods) for j in range(i + 1, methods)]
    adjusted = holm([signed_rank_p(matrix[:, i] - matrix[:, j]) for i, j in pairs])
    p = np.ones((methods, methods))
    for (i, j), value in zip(pairs, adjusted, strict=True):
        p[i, j] = p[j, i] = value
    return CriticalDifference(ranks, p, compact_letters(p < alpha, np.argsort(ranks, kind="stable")))


def signed_rank_p(differences: ArrayLike) -> float:
    """Test whether paired differences are symmetric around zero: Wilcoxon's signed-rank test, exact, two-sided.

    Zeros are left out; equal absolute values share their mean rank. The distribution of the rank sum is counted
    over all 2^n signs, so that ties cost no approximation.

    Args:
        differences: (n,) paired differences, n >= 1.

    Example:
        >>> signed_rank_p([1, 2, 3, 4, 5, 6])
        0.03125
    """
    sample = as_sample(differences, 1)
    sample = sample[sample != 0]
    doubled = np.rint(2 * _mean_ranks(np.abs(sample))).astype(int)  # mean ranks are halves: count in halves
    ways = np.ones(1)
    for rank in doubled:
        ways = np.concatenate([ways, np.zeros(rank)]) + np.concatenate([np.zeros(rank), ways])
    observed = int(doubled[sample > 0].sum())
    tail = min(ways[: observed + 1].sum(), ways[observed:].sum())
    return min(1.0, 2 * float(tail) / math.pow(2, len(sample)))


def _mean_ranks(values: Floats) -> Floats:
    """Rank numbers from 1, the smallest first; equal ones share their mean rank. It spares scipy.stats, a second."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]
