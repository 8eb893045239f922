"""A function that is not convex and satisfies the PL inequality."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from ....seeding import derive_seed
from .base import Problem, matvec
from .matrices import Matrix
from .registry import PROBLEMS


@cache
def sine_pl_constant() -> float:
    """Return the largest mu with ``h'(u)^2 >= 2 mu h(u)`` for h(u) = u^2 + 3 sin(u)^2: the minimum of h'^2 / (2 h).

    The ratio is even, tends to 8 at 0 and exceeds 1 beyond u = 6 (there h'^2 >= (2u - 3)^2 and h <= u^2 + 3), so its
    minimum lies in (0, 6]: a fine grid locates it and a finer one refines it. Karimi, Nutini and Schmidt (2016)
    state 1/32; the exact value is larger.

    Example:
        >>> 1 / 32 < sine_pl_constant() < 0.2
        True
    """

    def ratio(u: Matrix) -> Matrix:
        return (2 * u + 3 * np.sin(2 * u)) ** 2 / (2 * (u**2 + 3 * np.sin(u) ** 2))

    grid = np.linspace(1e-3, 6, 60_001)
    low, high = grid[np.argmin(ratio(grid)) + np.array([-1, 1])]
    return float(ratio(np.linspace(low, high, 60_001)).min())


class PerturbedSines(Problem):
    r"""Tilted copies of a wavy bowl: :math:`f_i(x) = \sum_j h(x_j) + c_i^\top x`, :math:`h(u) = u^2 + 3 \sin^2 u`.

    The tilts sum to zero, so :math:`f(x) = \|x\|^2 + 3 \sum_j \sin^2 x_j` with minimum 0 at the origin. h'' ranges over
    [-4, 8], so f is not convex and L = L_i = 8; mu is :func:`sine_pl_constant`, since a separable sum inherits the
    constant of its terms.

    Args:
        tilts: slopes c_i of the components, (n, d), with zero column sums.
        x0: start of the solvers, (d,).

    References:
        Karimi, Nutini and Schmidt 2016, arXiv 1608.04636.
    """

    def __init__(self, name: str, tilts: Matrix, x0: Matrix):
        self.tilts = torch.from_numpy(tilts)
        n, d = tilts.shape
        super().__init__(
            name=name,
            x0=torch.from_numpy(x0),
            mu=sine_pl_constant(),
            L=8.0,
            L_i=torch.full((n,), 8.0, dtype=torch.float64),
            minimum=0.0,
            component_minima=_tilted_minimum(self.tilts).sum(-1),
            minimizer=torch.zeros(d, dtype=torch.float64),
        )

    def losses(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        bowl = (x.square() + 3 * x.sin().square()).sum(-1, keepdim=True)
        if index is None:
            return bowl + x @ self.tilts.T
        return bowl + matvec(self.tilts[index], x)

    def gradient(self, x: Tensor, index: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        bowl = 2 * x + 3 * (2 * x).sin()
        if index is None or weight is None:
            return bowl
        return weight.sum(-1, keepdim=True) * bowl + (weight[..., None] * self.tilts[index]).sum(1)

    def gap(self, x: Tensor) -> Tensor:
        return (x.square() + 3 * x.sin().square()).sum(-1)


def _tilted_minimum(c: Tensor) -> Tensor:
    """Return min over u of h(u) + c u, elementwise: a grid over |u| <= |c| (it holds the minimizer), then Newton."""
    u = -c[..., None] * torch.linspace(0, 1, 2001, dtype=torch.float64)
    values = u.square() + 3 * u.sin().square() + c[..., None] * u
    best = u.gather(-1, values.argmin(-1, keepdim=True))[..., 0]
    for _ in range(50):
        curvature = (2 + 6 * (2 * best).cos()).clamp(min=1e-3)
        best = best - (2 * best + 3 * (2 * best).sin() + c) / curvature
    return torch.minimum(values.amin(-1), best.square() + 3 * best.sin().square() + c * best)


@PROBLEMS.named("sines")
def sines(n: int = 10, d: int = 4, tilt: float = 1.0, seed: int = 0) -> PerturbedSines:
    """The non-convex PL function ||x||^2 + 3 sum sin(x_j)^2, split into tilted components."""
    rng = np.random.default_rng(derive_seed("theory-problem:sines", seed))
    tilts = tilt * rng.standard_normal((n, d))
    return PerturbedSines("sines", tilts - tilts.mean(0), 3 * rng.standard_normal(d))
