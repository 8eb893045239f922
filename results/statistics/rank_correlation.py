"""How far one quantity orders methods as another does: Kendall's tau, also over those that differ in one setting.

Pure functions of arrays. The intervals resample runs within methods: they hold for these methods, on other seeds.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .intervals import Floats, Interval, as_sample

Groups = Mapping[str, Sequence[Sequence[int]]]
"""Setting -> the groups of methods, by position, that differ in nothing else."""


def kendall_tau(a: ArrayLike, b: ArrayLike) -> Floats:
    """Compare two rankings along the last axis: tau-b = (concordant - discordant) / √(pairs untied in a · in b).

    Args:
        a: (..., methods).
        b: of the same shape, or of one that goes with it.

    Returns:
        (...), in [-1, 1]; NaN where all values of one are equal, or any is NaN. Equal infinities are tied.

    References:
        Kendall 1945.

    Example:
        >>> float(kendall_tau([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])).__round__(3)
        0.333
    """
    given = [np.asarray(x, dtype=np.float64) for x in (a, b)]
    most = max(x.ndim for x in given)
    first, second = (np.ascontiguousarray(np.moveaxis(x[(None,) * (most - x.ndim)], -1, 0)) for x in given)
    totals = np.zeros((3, *np.broadcast_shapes(first.shape[1:], second.shape[1:])))
    for at in range(1, len(first)):  # pairs of one method at a time: they stay in the processor's cache
        p, q = (_signs(x[at:], x[at - 1]) for x in (first, second))
        for of, signs in enumerate((p * q, p * p, q * q)):
            totals[of] += np.add.reduce(signs, axis=0, dtype=np.int32)
    totals[0, np.isnan(first).any(0) | np.isnan(second).any(0)] = np.nan
    both, in_first, in_second = totals
    with np.errstate(invalid="ignore"):
        return both / np.sqrt(in_first * in_second)


def _signs(a: Floats, b: Floats) -> NDArray[np.int8]:
    """Return the signs of a - b, in a byte each."""
    return (a > b).view(np.int8) - (a < b).view(np.int8)


def one_setting_apart(settings: Sequence[Mapping[str, str]]) -> dict[str, list[list[int]]]:
    """Return for each setting the groups of methods that differ in it alone, two or more a group.

    Args:
        settings: of each method, name -> value.

    Example:
        >>> one_setting_apart([{"rho": "1", "lr": "1"}, {"rho": "2", "lr": "1"}, {"rho": "2", "lr": "2"}])
        {'lr': [[1, 2]], 'rho': [[0, 1]]}
    """
    found = {}
    for name in sorted({name for one in settings for name in one}):
        rest = defaultdict[frozenset[tuple[str, str]], list[int]](list)
        for at, one in enumerate(settings):
            if name in one:
                rest[frozenset(item for item in one.items() if item[0] != name)].append(at)
        if groups := [group for group in rest.values() if len(group) > 1]:
            found[name] = groups
    return found


def granulated_tau(a: ArrayLike, b: ArrayLike, groups: Groups) -> Floats:
    """Average Kendall's tau over the groups of a setting, then over settings: nothing else varies within a group.

    Args:
        a: (..., methods).
        b: of the same shape, or of one that goes with it.
        groups: as :func:`one_setting_apart` finds them, at least one. A group in which all values of one are equal
            counts as 0.

    References:
        Jiang et al. 2019, arXiv 1912.02178.
    """
    first, second = (np.asarray(x, dtype=np.float64) for x in (a, b))
    each = []
    for found in groups.values():
        taus = np.empty((len(found), *np.broadcast_shapes(first.shape, second.shape)[:-1]))
        for size in {len(group) for group in found}:  # those of one size together
            at = [i for i, group in enumerate(found) if len(group) == size]
            members = np.array([found[i] for i in at])
            taus[at] = np.moveaxis(kendall_tau(first[..., members], second[..., members]), -1, 0)
        each.append(sum(np.nan_to_num(taus)) / len(found))  # in one order, whatever stands beside it
    return np.asarray(sum(each) / len(each))


def rank_correlations(
    quantities: Sequence[Sequence[ArrayLike]],
    b: Sequence[ArrayLike],
    rng: np.random.Generator,
    statistics: Sequence[Callable[[Floats, Floats], Floats]] = (kendall_tau,),
    *,
    resamples: int = 1000,
    level: float = 0.95,
) -> list[list[Interval | None]]:
    """Estimate rank correlations of the means of methods, with percentile intervals of the bootstrap over runs.

    A draw takes as many runs of each method as it has, with replacement, and all values of each.

    Args:
        quantities: of each, for each method one value a run, (n_m,).
        b: another value of the same runs, which all quantities are compared with.
        rng: generator of the resampling.
        statistics: rank correlations of means (quantities, ..., methods) and (..., methods), such as
            :func:`kendall_tau`; all see the same draws.
        resamples: number of bootstrap samples.
        level: nominal coverage of the intervals.

    Returns:
        For each quantity, for each statistic, the estimate and its interval; None where it is not defined.
    """
    samples = [[as_sample(values, 1) for values in one] for one in (*quantities, b)]
    drawn = np.empty((len(samples), resamples, len(b)))
    for at, values in enumerate(zip(*samples, strict=True)):
        runs = np.ascontiguousarray(rng.integers(len(values[0]), size=(resamples, len(values[0]))).T)
        for means, one in zip(drawn, values, strict=True):
            means[:, at] = one[runs].mean(axis=0)
    means = np.array([[values.mean() for values in one] for one in samples])
    each = [(statistic(means[:-1], means[-1]), statistic(drawn[:-1], drawn[-1])) for statistic in statistics]
    return [[_interval(float(found[at]), of[at], level) for found, of in each] for at in range(len(quantities))]


def _interval(estimate: float, drawn: Floats, level: float) -> Interval | None:
    if not np.isfinite(estimate):
        return None
    low, high = np.nanquantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(estimate, float(low), float(high))
