r"""The studentised range: the largest difference of k normal means, over an independent estimate of their deviation.

.. math::
    P(Q > q) = 1 - \int_0^\infty f_\nu(s) \, k \int \varphi(z) \big(\Phi(z) - \Phi(z - q s)\big)^{k-1} dz \, ds

with :math:`\nu s^2 \sim \chi^2_\nu`. Gauss's rule in z and in log s, where the integrand is smooth however few the
degrees of freedom are, agrees with ``scipy.stats.studentized_range`` to 1e-10 of the quantile, in a tenth of its time.
"""

import math
from functools import cache

import numpy as np
from scipy import special

from .intervals import Floats

MOST = 8.5
"""Beyond it a standard normal number is not met with: 1e-17."""


@cache
def _rule(parts: int) -> tuple[Floats, Floats]:
    """Return nodes and weights on [-1, 1]: Gauss's of 96 nodes in each of so many equal parts."""
    at, weights = np.polynomial.legendre.leggauss(96)
    middles = (2 * np.arange(parts) + 1) / parts - 1
    return (middles[:, None] + at / parts).ravel(), np.tile(weights / parts, parts)


@cache
def _normal() -> tuple[Floats, Floats, Floats]:
    """Return nodes of a standard normal number, their weights with its density in them, and what lies below each."""
    at, weights = np.polynomial.legendre.leggauss(128)
    z = MOST * at
    return z, MOST * weights * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi), special.ndtr(z)


def tail(q: float, k: int, degrees: float) -> float:
    """Return the probability that the range of k means exceeds q, at some degrees of freedom.

    Example:
        >>> round(tail(3.877, 3, 10), 4)
        0.05
    """
    half = degrees / 2
    low, high = 0.5 * np.log([special.gammaincinv(half, 1e-12) / half, special.gammainccinv(half, 1e-16) / half])
    at, weights = _rule(6 if degrees < 4 else 1)
    u, weights = low + (high - low) * (at + 1) / 2, weights * (high - low) / 2
    s = np.exp(u)
    density = 2 * np.exp(half * np.log(half) - special.gammaln(half) + degrees * u - half * s * s)
    z, normal, below = _normal()
    within = below - special.ndtr(z - q * s[:, None])
    return float(1 - (density * weights) @ (k * _power(within, k - 1) @ normal))


def _power(base: Floats, exponent: int) -> Floats:
    """Return a whole power by squaring: ``**`` takes a logarithm of every number."""
    result = np.ones_like(base)
    while exponent:
        if exponent & 1:
            result *= base
        base, exponent = base * base, exponent >> 1
    return result


def quantile(k: int, degrees: float, alpha: float) -> float:
    """Return what the range of k means exceeds with probability ``alpha``.

    Example:
        >>> round(quantile(3, 10, 0.05), 3)
        3.877
    """
    # Two of the means alone exceed it less often, and Bonferroni's bound more often.
    low, high = (math.sqrt(2) * special.stdtrit(degrees, 1 - alpha / pairs) for pairs in (2, k * (k - 1)))

    def over(q: float) -> float:  # nearly a straight line, which the probability itself is not
        return math.log(max(tail(q, k, degrees), 1e-300) / alpha)

    above, below, last = over(low), over(high), 0
    while high - low > 1e-11 * high and above > 0 > below:
        # regula falsi, Illinois: importing scipy.optimize takes longer
        q = low + (high - low) * above / (above - below)
        if abs(excess := over(q)) < 1e-12:
            return float(q)
        if excess > 0:
            low, above, below = q, excess, below / 2 if last > 0 else below
        else:
            high, below, above = q, excess, above / 2 if last < 0 else above
        last = 1 if excess > 0 else -1
    return float(low if abs(above) < abs(below) else high)
