"""Verdicts on claims: what an interval says of an effect and a margin. Pure functions of arrays.

A claim names the effect that it needs, the margin, before the runs. It is *supported* where the whole confidence
interval lies beyond the margin, *contradicted* where the whole interval lies short of it, and *undecided* in between.
Whatever the true effect is, a verdict that is not true of it comes out in at most (1 - level) of cases: an effect short
of the margin is called supported only if its interval misses it, and so is one beyond it called contradicted.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from .intervals import as_sample, t_interval

Outcome = Literal["supported", "contradicted", "undecided"]

MOST = 10_000
"""Number of runs beyond which nobody is told that so many would decide."""


class Verdict(NamedTuple):
    """What values say of a claim.

    Attributes:
        outcome: ``supported``, ``contradicted`` or ``undecided``.
        estimate: the mean effect, in the unit of the values.
        low: lower end of its confidence interval.
        high: upper end.
        n: number of values, one a seed.
        needed: number of seeds that would decide, were estimate and spread what they seem; ``None`` if none would.
        level: confidence level of the interval.
        needs: what the claim needs of the effect, in words.
    """

    outcome: Outcome
    estimate: float
    low: float
    high: float
    n: int
    needed: int | None
    level: float
    needs: str


def exceeds(effects: ArrayLike, margin: float, level: float = 0.95, resolution: float = 0.0) -> Verdict:
    """Judge the claim that the mean effect is larger than a margin.

    Args:
        effects: (n,) one effect a seed, n >= 2, such as differences within the seed.
        margin: the effect that the claim needs; negative for *not worse by more than*.
        level: confidence level of the interval, two-sided.
        resolution: the step in which effects are measured; see :func:`.intervals.t_interval`.

    Example:
        >>> exceeds([1.0, 1.2, 0.9, 1.1], 0.5).outcome, exceeds([1.0, 1.2, 0.9, 1.1], 2).outcome
        ('supported', 'contradicted')
        >>> exceeds([-1.0, 1.5, 0.4, 0.1], 0).outcome
        'undecided'
    """
    sample = as_sample(effects, 2)
    mean, low, high = t_interval(sample, level, resolution)
    outcome: Outcome = "supported" if low > margin else "contradicted" if high < margin else "undecided"
    needed = _needed(sample, abs(mean - margin), level)
    return Verdict(outcome, mean, low, high, len(sample), needed, level, f"more than {margin:g}")


def falls(logarithms: ArrayLike, percent: float, level: float = 0.95) -> Verdict:
    """Judge the claim that one positive value is lower than another by more than some percent.

    The interval is that of the mean logarithm of their ratio, which is symmetric where the ratio is skewed. It is told
    in percent, 100 (1 - exp(-x)): the fall of the geometric mean.

    Args:
        logarithms: (n,) ln(first / second), one a seed, n >= 2.
        percent: the fall from the first to the second that the claim needs, below 100.
        level: confidence level of the interval, two-sided.

    Example:
        >>> found = falls(np.log([2.0, 1.9, 2.1]), 10)
        >>> found.outcome, round(found.estimate)
        ('supported', 50)
    """
    return _in_percent(
        exceeds(logarithms, -math.log1p(-percent / 100), level), percent, lambda x: -100 * math.expm1(-x)
    )


def rises(logarithms: ArrayLike, percent: float, level: float = 0.95) -> Verdict:
    """Judge the claim that one positive value is higher than another by more than some percent; see :func:`falls`.

    Args:
        logarithms: (n,) ln(second / first), one a seed, n >= 2.
        percent: the rise from the first to the second that the claim needs.
        level: confidence level of the interval, two-sided.

    Example:
        >>> round(rises(np.log([2.0, 1.9, 2.1]), 10).estimate)
        100
    """
    return _in_percent(exceeds(logarithms, math.log1p(percent / 100), level), percent, lambda x: 100 * math.expm1(x))


def _in_percent(found: Verdict, percent: float, told: Callable[[float], float]) -> Verdict:
    estimate, low, high = map(told, (found.estimate, found.low, found.high))
    return found._replace(estimate=estimate, low=low, high=high, needs=f"more than {percent:g}")


def equals(effects: ArrayLike, margin: float, level: float = 0.95, resolution: float = 0.0) -> Verdict:
    """Judge the claim that the mean effect is between -margin and margin, which is positive.

    Supported where the whole interval is within the margins, contradicted where all of it is outside on one side.

    Example:
        >>> equals([0.1, -0.1, 0.05, -0.02], 0.5).outcome
        'supported'
    """
    sample = as_sample(effects, 2)
    mean, low, high = t_interval(sample, level, resolution)
    inside, outside = -margin < low and high < margin, low > margin or high < -margin
    outcome: Outcome = "supported" if inside else "contradicted" if outside else "undecided"
    needed = _needed(sample, abs(margin - abs(mean)), level)
    return Verdict(outcome, mean, low, high, len(sample), needed, level, f"within {margin:g} of 0")


def most(outcomes: Sequence[Outcome]) -> Outcome:
    """Judge the claim that something holds in more than half of several cases, each of which was judged.

    The cases have to be judged at the level 1 - alpha / number of cases for the error of the whole to be alpha.

    Example:
        >>> most(["supported", "supported", "undecided"]), most(["supported", "contradicted", "contradicted"])
        ('supported', 'contradicted')
    """
    if 2 * outcomes.count("supported") > len(outcomes):
        return "supported"
    return "contradicted" if 2 * outcomes.count("contradicted") >= len(outcomes) > 0 else "undecided"


def every(outcomes: Sequence[Outcome]) -> Outcome:
    """Judge the claim that something holds in all of several cases, each judged at 1 - alpha / number of cases.

    Example:
        >>> every(["supported", "undecided"]), every(["supported", "contradicted"])
        ('undecided', 'contradicted')
    """
    if "contradicted" in outcomes:
        return "contradicted"
    return "supported" if set(outcomes) == {"supported"} else "undecided"


def _needed(sample: np.ndarray, distance: float, level: float) -> int | None:
    """Find the smallest n whose interval is narrower than a distance: t(n - 1) · s/√n < distance; to 2 % from 53 on."""
    spread = float(sample.std(ddof=1))
    for n in map(int, np.unique(np.geomspace(2, MOST, 400).round())):
        if float(special.stdtrit(n - 1, 0.5 + level / 2)) * spread / math.sqrt(n) < distance:
            return n
    return None
