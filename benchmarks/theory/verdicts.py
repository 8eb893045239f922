"""Sentences that follow from data: what holds, what does not, and what the data cannot decide."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def verdict(holds: bool | None, yes: str, no: str, undecided: str = "") -> str:
    """Return the sentence that goes with what was found; None is neither.

    Example:
        >>> verdict(None, "It holds.", "It does not.", "the run has not settled")
        'Undecided: the run has not settled.'
    """
    return f"Undecided: {undecided}." if holds is None else yes if holds else no


def agreement(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Return the largest relative deviation of what was measured from what was predicted.

    Example:
        >>> round(agreement([1.0, 2.2], [1.0, 2.0]), 12)
        0.1
    """
    expected = np.asarray(predicted, dtype=np.float64)
    return float(np.max(np.abs(np.asarray(measured) - expected) / np.abs(expected)))


class Power(NamedTuple):
    """A fitted power of x, with the ends of its 95 % t-interval."""

    slope: float
    low: float
    high: float

    def at_most(self, exponent: float, tolerance: float = 0.1) -> bool | None:
        """Tell whether the power is at most ``exponent``; None where the interval leaves both open."""
        if self.high <= exponent + tolerance:
            return True
        return False if self.low > exponent + tolerance else None

    def is_near(self, exponent: float, tolerance: float = 0.1) -> bool | None:
        """Tell whether the power is ``exponent``; None where the interval is wider than the tolerance."""
        if not self.high - self.low <= 2 * tolerance:
            return None
        return abs(self.slope - exponent) <= tolerance

    def __str__(self) -> str:
        return f"{self.slope:.2f} [{self.low:.2f}, {self.high:.2f}]"


def fitted_power(x: ArrayLike, y: ArrayLike) -> Power:
    """Fit log y against log x by least squares; the interval is a point where the fit is exact.

    Example:
        >>> fitted_power([1, 2, 4, 8], [3, 12, 48, 192]).slope
        2.0
    """
    at, value = np.log(np.asarray(x, np.float64)), np.log(np.asarray(y, np.float64))
    slope, offset = np.polyfit(at, value, 1)
    rest = float(np.square(value - slope * at - offset).sum()) / max(len(at) - 2, 1)
    half = float(stats.t.ppf(0.975, max(len(at) - 2, 1))) * np.sqrt(rest / float(np.square(at - at.mean()).sum()))
    return Power(*(round(float(end), 12) for end in (slope, slope - half, slope + half)))
