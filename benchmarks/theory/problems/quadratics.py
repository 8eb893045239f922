"""Finite sums of positive-definite quadratics with prescribed spectra."""

import numpy as np
import torch
from torch import Tensor

from ....errors import ConfigError
from ....seeding import derive_seed
from .base import Problem, matvec
from .matrices import Matrix, reflected
from .registry import PROBLEMS


class Quadratics(Problem):
    r"""A sum of quadratics: :math:`f_i(x) = \frac12 (x - c_i)^\top H_i (x - c_i)` with :math:`H_i \succ 0`.

    :math:`L_i = \lambda_{\max}(H_i)`; with :math:`H = \frac1n \sum H_i`, L and mu are the ends of its spectrum and the
    minimizer solves :math:`H x = \frac1n \sum H_i c_i`. Every f_i^inf is zero.

    Args:
        hessians: Hessians H_i of the components, (n, d, d).
        centers: minimizers c_i of the components, (n, d).
        x0: start of the solvers, (d,).
    """

    def __init__(self, name: str, hessians: Matrix, centers: Matrix, x0: Matrix):
        self.hessians = torch.from_numpy(hessians)
        self.centers = torch.from_numpy(centers)
        self.mean_hessian = self.hessians.mean(0)
        spectrum = torch.linalg.eigvalsh(self.mean_hessian)
        pull = matvec(self.hessians, self.centers).mean(0)
        minimizer = torch.linalg.solve(self.mean_hessian, pull)
        n = len(hessians)
        super().__init__(
            name=name,
            x0=torch.from_numpy(x0),
            mu=float(spectrum[0]),
            L=float(spectrum[-1]),
            L_i=torch.linalg.eigvalsh(self.hessians)[:, -1],
            minimum=float(self.losses(minimizer).mean()),
            component_minima=torch.zeros(n, dtype=torch.float64),
            minimizer=minimizer,
        )

    def losses(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        h, c = self._pick(index)
        away = x[..., None, :] - c
        return (away * matvec(h, away)).sum(-1) / 2

    def gradient(self, x: Tensor, index: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        if index is None or weight is None:
            return (x - self.minimizer) @ self.mean_hessian
        h, c = self._pick(index)
        each = matvec(h, x[:, None, :] - c)
        return (weight[..., None] * each).sum(1)

    def gap(self, x: Tensor) -> Tensor:
        away = x - self.minimizer
        return (away * (away @ self.mean_hessian)).sum(-1) / 2

    def _pick(self, index: Tensor | None) -> tuple[Tensor, Tensor]:
        return (self.hessians, self.centers) if index is None else (self.hessians[index], self.centers[index])


@PROBLEMS.named("quadratics")
def quadratics(
    n: int = 20,
    d: int = 6,
    condition: float = 10.0,
    spread: float = 1.0,
    imbalance: float = 1.0,
    seed: int = 0,
) -> Quadratics:
    r"""Positive-definite quadratics after Lenard and Minkoff, with component 1 steeper than the others if asked for.

    Args:
        condition: condition number of every H_i; eigenvalues are log-uniform in [1/condition, 1], both ends included.
        spread: standard deviation of the centers c_i; 0 makes one point minimize every component.
        imbalance: L_max / L_avg, from 1 up to (excluding) n.

    Raises:
        ConfigError: n or d below 2, or an imbalance that n components cannot have.
    """
    if min(n, d) < 2:
        raise ConfigError(f"n={n}, d={d} is not possible: give n >= 2 components in d >= 2 dimensions")
    if not 1 <= imbalance < n:
        raise ConfigError(f"imbalance={imbalance} is not possible with n={n} components: give 1 <= imbalance < n")
    rng = np.random.default_rng(derive_seed("theory-problem:quadratics", seed))
    # One L_1 = s and the others 1: s / ((s + n - 1) / n) = imbalance.
    scale = np.ones(n)
    scale[0] = imbalance * (n - 1) / (n - imbalance)
    hessians = np.stack(
        [reflected(s * condition ** -np.concatenate(([0.0, 1.0], rng.uniform(0, 1, d - 2))), rng) for s in scale]
    )
    return Quadratics("quadratics", hessians, spread * rng.standard_normal((n, d)), rng.standard_normal(d) * 3)
