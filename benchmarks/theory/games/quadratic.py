"""Quadratic games: strongly convex in one variable, strongly concave in the other, with a bilinear coupling."""

import numpy as np

from ....seeding import derive_seed
from ..problems.matrices import reflected
from .affine import AffineGame


def quadratic(
    n: int = 10, d: int = 4, imbalance: float = 3.0, coupling: float = 0.3, offset: float = 0.2, seed: int = 0
) -> AffineGame:
    r"""Games :math:`f_i = \frac12 x^\top A_i x + x^\top B_i y - \frac12 y^\top C_i y + a_i^\top x - c_i^\top y`.

    A_i and C_i have eigenvalues in [1/4, 1], both ends included, times the scale of the component: each M_i is strongly
    monotone with mu_i a quarter of the scale.

    Args:
        imbalance: L_max / L_avg of the scales; the first component is the steep one.
        coupling: standard deviation of the entries of B_i.
        offset: standard deviation of the a_i and c_i.
    """
    rng = np.random.default_rng(derive_seed("theory-game:quadratic", seed))
    scale = np.ones(n)
    scale[0] = imbalance * (n - 1) / (n - imbalance)
    matrices = np.zeros((n, 2 * d, 2 * d))
    for i in range(n):
        for part in (slice(0, d), slice(d, 2 * d)):
            eigenvalues = np.concatenate(([0.25, 1.0], rng.uniform(0.25, 1.0, d - 2)))
            matrices[i, part, part] = scale[i] * reflected(eigenvalues, rng)
        b = coupling * scale[i] * rng.standard_normal((d, d))
        matrices[i, :d, d:], matrices[i, d:, :d] = b, -b.T
    return AffineGame("quadratic", matrices, offset * rng.standard_normal((n, 2 * d)), rng.standard_normal(2 * d))
