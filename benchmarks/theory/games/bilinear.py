"""Bilinear games: monotone, not strongly, so that plain descent-ascent turns away from the solution."""

import numpy as np

from ....seeding import derive_seed
from ..problems.matrices import orthogonal
from .affine import AffineGame


def bilinear(
    n: int = 10, d: int = 4, imbalance: float = 2.0, spread: float = 0.05, offset: float = 0.1, seed: int = 0
) -> AffineGame:
    r"""Bilinear games :math:`f_i = x^\top B_i y + a_i^\top x - c_i^\top y` in :math:`\mathbb{R}^d \times \mathbb{R}^d`.

    The mean of the B_i has singular values evenly spaced in [1, 2], which are also those of M, each twice: kappa = 1,
    L = 2, mu = 0.

    Args:
        imbalance: the first B_i is about so many times the mean.
        spread: standard deviation of the entries in which the B_i differ otherwise; it sums to zero.
        offset: standard deviation of the a_i and c_i, whose means are zero: the solution is the origin.
    """
    rng = np.random.default_rng(derive_seed("theory-game:bilinear", seed))
    mean = (orthogonal(d, d, rng) * np.linspace(1, 2, d)) @ orthogonal(d, d, rng).T
    scale = np.full(n, (n - imbalance) / (n - 1))
    scale[0] = imbalance
    noise = spread * rng.standard_normal((n, d, d))
    b = scale[:, None, None] * mean + noise - noise.mean(0)
    matrices = np.zeros((n, 2 * d, 2 * d))
    matrices[:, :d, d:], matrices[:, d:, :d] = b, -np.swapaxes(b, 1, 2)
    shifts = offset * rng.standard_normal((n, 2 * d))
    return AffineGame("bilinear", matrices, shifts - shifts.mean(0), rng.standard_normal(2 * d))
