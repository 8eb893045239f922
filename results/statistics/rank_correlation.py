"""How far one quantity orders methods as another does: Kendall's tau, also over those that differ in one setting.

Pure functions of arrays. The intervals resample runs within methods: they hold for these methods, on other seeds.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .intervals import Floats, Interval, as_sample

Groups = Mapping[str, Sequence[Sequence[int]]]
"""Setting -> the groups of methods, by position, that differ in nothing else."""


def kendall_tau(a: ArrayLike, b: ArrayLike) -> Floats:
    """Compare two rankings along the last axis: tau-b = (concordant - discordant) / √(pairs untied in a · in b).

    Args:
        a: (..., methods).
        b: of the same shape.

    Returns:
        (...), in [-1, 1]; NaN where all values of one are equal.

    References:
        Kendall 1945.

    Example:
        >>> float(kendall_tau([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])).__round__(3)
        0.333
    """
    first, second = (_signs(np.asarray(x, dtype=np.float64)) for x in (a, b))
    untied = np.square(first).sum(-1) * np.square(second).sum(-1)
    with np.errstate(invalid="ignore"):
        return (first * second).sum(-1) / np.sqrt(untied)


def _signs(x: Floats) -> Floats:
    one, other = np.triu_indices(x.shape[-1], 1)
    return np.sign(x[..., one] - x[..., other])


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
        b: of the same shape.
        groups: as :func:`one_setting_apart` finds them, at least one. A group in which all values of one are equal
            counts as 0.

    References:
        Jiang et al. 2019, arXiv 1912.02178.
    """
    first, second = (np.asarray(x, dtype=np.float64) for x in (a, b))
    each = [
        np.mean([np.nan_to_num(kendall_tau(first[..., group], second[..., group])) for group in found], axis=0)
        for found in groups.values()
    ]
    return np.mean(each, axis=0)


def rank_correlation(
    a: Sequence[ArrayLike],
    b: Sequence[ArrayLike],
    rng: np.random.Generator,
    statistic: Callable[[Floats, Floats], Floats] = kendall_tau,
    *,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval | None:
    """Estimate the rank correlation of the means of methods, with the percentile interval of the bootstrap over runs.

    A draw takes as many runs of each method as it has, with replacement, and both values of each.

    Args:
        a: for each method one value a run, (n_m,).
        b: the other value of the same runs.
        rng: generator of the resampling.
        statistic: rank correlation of means (..., methods), such as :func:`kendall_tau`.
        resamples: number of bootstrap samples.
        level: nominal coverage of the interval.

    Returns:
        The estimate and its interval; None where it is not defined.
    """
    first, second = ([as_sample(values, 1) for values in one] for one in (a, b))
    at = [rng.integers(len(values), size=(resamples, len(values))) for values in first]
    drawn = (
        np.stack([values[i].mean(axis=1) for values, i in zip(one, at, strict=True)], axis=-1)
        for one in (first, second)
    )
    found = statistic(*drawn)
    estimate = float(statistic(*(np.array([values.mean() for values in one]) for one in (first, second))))
    if not np.isfinite(estimate):
        return None
    low, high = np.nanquantile(found, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(estimate, float(low), float(high))
