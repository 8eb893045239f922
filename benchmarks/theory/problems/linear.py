"""Linear models: least squares, ridge regression and logistic regression, with exact constants."""

from math import log
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ....errors import ConfigError
from ....seeding import derive_seed
from .base import Problem, matvec
from .matrices import Matrix, with_condition, with_spectrum
from .registry import PROBLEMS

Link = Literal["square", "logistic"]
CURVATURE = {"square": 1.0, "logistic": 0.25}
"""Supremum of the second derivative of each link."""


def softplus(z: Tensor) -> Tensor:
    """Return log(1 + e^z); ``torch.nn.functional.softplus`` turns linear at z = 20, an error of 2e-9."""
    return torch.logaddexp(z, torch.zeros((), dtype=z.dtype))


class LinearModel(Problem):
    r"""A linear model: :math:`f_i(x) = \phi(a_i^\top x; y_i) + \frac{r}{2} \|x\|^2`.

    =========  =============================  ==================
    link       :math:`\phi(s; y)`             sup of phi''
    =========  =============================  ==================
    square     :math:`(s - y)^2 / 2`          1
    logistic   :math:`\log(1 + e^{-y s})`     1/4
    =========  =============================  ==================

    With c the supremum of phi'': :math:`L_i = c \|a_i\|^2 + r` and :math:`L = c\,\lambda_{\max}(A^\top A)/n + r`.
    For the square link :math:`\mu = \lambda_{\min}(A^\top A)/n + r`, and without regularization the smallest
    *non-zero* eigenvalue, which is a PL constant also where the model is over-parametrized. For the logistic link
    :math:`\mu = r`: the curvature of phi vanishes at infinity, so nothing larger holds everywhere.

    Args:
        name: name in figures and tables.
        features: the rows a_i, (n, d).
        targets: y_i, (n,); +1 or -1 for the logistic link.
        link: name of the loss phi, ``"square"`` or ``"logistic"``.
        regularization: r >= 0; positive for the logistic link, which has no PL constant otherwise.
        x0: start of the solvers, (d,); the origin if ``None``.

    Raises:
        ConfigError: a logistic model without regularization, or targets other than +1 and -1.
    """

    def __init__(
        self,
        name: str,
        features: Matrix,
        targets: Matrix,
        link: Link = "square",
        regularization: float = 0.0,
        x0: Matrix | None = None,
    ):
        if link == "logistic" and not (regularization > 0 and set(np.unique(targets)) <= {-1.0, 1.0}):
            raise ConfigError(
                f"logistic model {name!r}: needs regularization > 0 (is {regularization}), or it has no PL constant, "
                f"and targets +1 or -1 (are {np.unique(targets)[:5].tolist()})"
            )
        self.features = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float64))
        self.targets = torch.from_numpy(np.ascontiguousarray(targets, dtype=np.float64))
        self.link = link
        self.regularization = regularization
        n, d = self.features.shape
        spectrum = torch.linalg.eigvalsh(self.features.T @ self.features) / n
        squared_norms = self.features.square().sum(-1)
        minimizer = self._newton(torch.zeros(d, dtype=torch.float64))
        super().__init__(
            name=name,
            x0=torch.zeros(d, dtype=torch.float64) if x0 is None else torch.from_numpy(x0),
            mu=self._pl_constant(spectrum),
            L=float(CURVATURE[link] * spectrum[-1]) + regularization,
            L_i=CURVATURE[link] * squared_norms + regularization,
            minimum=float(self.losses(minimizer).mean()),
            component_minima=self._component_minima(squared_norms),
            minimizer=minimizer,
        )

    def losses(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        rows, y = self._pick(index)
        s = x @ rows.T if index is None else matvec(rows, x)
        return self._phi(s, y) + self.regularization / 2 * x.square().sum(-1, keepdim=True)

    def gradient(self, x: Tensor, index: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        rows, y = self._pick(index)
        if index is None or weight is None:
            return self._slope(x @ rows.T, y) @ rows / self.n + self.regularization * x
        slope = weight * self._slope(matvec(rows, x), y)
        return matvec(rows.mT, slope) + self.regularization * weight.sum(-1, keepdim=True) * x

    def gap(self, x: Tensor) -> Tensor:
        if self.link == "logistic":
            return super().gap(x)
        # For a quadratic this is exact, where the difference of two values of f would leave only rounding.
        away = x - self.minimizer
        return (away @ self.features.T).square().mean(-1) / 2 + self.regularization / 2 * away.square().sum(-1)

    def _pick(self, index: Tensor | None) -> tuple[Tensor, Tensor]:
        return (self.features, self.targets) if index is None else (self.features[index], self.targets[index])

    def _phi(self, s: Tensor, y: Tensor) -> Tensor:
        return (s - y).square() / 2 if self.link == "square" else softplus(-y * s)

    def _slope(self, s: Tensor, y: Tensor) -> Tensor:
        return s - y if self.link == "square" else -y * torch.sigmoid(-y * s)

    def _pl_constant(self, spectrum: Tensor) -> float:
        if self.link == "logistic":
            return self.regularization
        if self.regularization == 0:
            # Of the rows themselves: the square of a condition number above 1e8 is lost in that of A^T A.
            singular = torch.linalg.svdvals(self.features)
            kept = singular > max(self.features.shape) * torch.finfo(singular.dtype).eps * singular[0]
            return float(singular[kept][-1].square()) / len(self.features)
        return float(spectrum[0].clamp(min=0)) + self.regularization

    def _newton(self, x: Tensor) -> Tensor:
        """Minimize f: one least-squares solve for the square link, Newton's method for the logistic one."""
        a, y, r, n = self.features, self.targets, self.regularization, len(self.features)
        if self.link == "square":
            if r == 0:
                return torch.linalg.lstsq(a, y[:, None], driver="gelsd").solution[:, 0]
            return torch.linalg.solve(a.T @ a / n + r * torch.eye(len(x), dtype=x.dtype), a.T @ y / n)
        for _ in range(100):
            s = a @ x
            gradient = a.T @ self._slope(s, y) / n + r * x
            curvature = torch.sigmoid(s) * torch.sigmoid(-s)
            hessian = a.T @ (curvature[:, None] * a) / n + r * torch.eye(len(x), dtype=x.dtype)
            step = torch.linalg.solve(hessian, gradient)
            # Self-concordant damping: a full Newton step may overshoot where the sigmoid saturates.
            x = x - step / (1 + (gradient @ step).sqrt())
            if gradient.norm() < 1e-15:
                break
        return x

    def _component_minima(self, squared_norms: Tensor) -> Tensor:
        r"""f_i is minimized along a_i: with x = s a_i / ||a_i||^2 it is :math:`\phi(s) + r s^2 / (2 \|a_i\|^2)`."""
        r, y = self.regularization, self.targets
        if self.link == "square":
            if r == 0:
                return torch.where(squared_norms > 0, torch.zeros_like(y), y.square() / 2)
            return y.square() / 2 * r / (r + squared_norms)
        stiffness = r / squared_norms.clamp_min(torch.finfo(squared_norms.dtype).tiny)
        low, high = torch.zeros_like(y), torch.full_like(y, 750.0)
        for _ in range(200):  # bisection on the margin m = y s of the increasing function r m / ||a||^2 - sigmoid(-m)
            margin = (low + high) / 2
            past = stiffness * margin > torch.sigmoid(-margin)
            low, high = torch.where(past, low, margin), torch.where(past, margin, high)
        found = softplus(-low) + stiffness / 2 * low.square()
        return torch.where(squared_norms > 0, found, log(2))  # a component without features is constant in the margin


def _rng(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(f"theory-problem:{name}", seed))


@PROBLEMS.named("least-squares")
def least_squares(
    n: int = 20, d: int = 30, condition: float = 10.0, consistent: bool = True, seed: int = 0
) -> LinearModel:
    """Least squares, here with more unknowns than equations: PL without being strongly convex."""
    rng = _rng("least-squares", seed)
    a = with_condition(n, d, condition, rng)
    y = a @ rng.standard_normal(d) if consistent else rng.standard_normal(n)
    return LinearModel("least-squares", a, y, x0=rng.standard_normal(d))


@PROBLEMS.named("ridge")
def ridge(
    n: int = 30, d: int = 10, condition: float = 10.0, regularization: float | None = None, seed: int = 0
) -> LinearModel:
    """Ridge regression with Gaussian targets; the regularization is 1/n unless given."""
    rng = _rng("ridge", seed)
    a = with_condition(n, d, condition, rng)
    r = 1 / n if regularization is None else regularization
    return LinearModel("ridge", a, rng.standard_normal(n), regularization=r, x0=rng.standard_normal(d))


@PROBLEMS.named("logistic")
def logistic(n: int = 40, d: int = 5, regularization: float | None = None, seed: int = 0) -> LinearModel:
    """Logistic regression on Gaussian features and coin-flip labels; the regularization is 1/n unless given."""
    rng = _rng("logistic", seed)
    a, y = rng.standard_normal((n, d)), rng.choice([-1.0, 1.0], n)
    r = 1 / n if regularization is None else regularization
    return LinearModel("logistic", a, y, "logistic", r, x0=rng.standard_normal(d))


@PROBLEMS.named("symmetric")
def symmetric(d: int = 20, largest: float = 10.0, regularization: float | None = None, seed: int = 0) -> LinearModel:
    """Ridge regression on a symmetric matrix with eigenvalues {1, largest, uniform in [1, 2]}: uneven L_i."""
    if d < 2:
        raise ConfigError(f"d={d} is not possible: a symmetric matrix with eigenvalues 1 and largest has d >= 2")
    rng = _rng("symmetric", seed)
    a = with_spectrum(np.concatenate(([1.0, largest], rng.uniform(1, 2, d - 2))), rng)
    r = 3 / d if regularization is None else regularization
    return LinearModel("symmetric", a, rng.standard_normal(d), regularization=r, x0=rng.standard_normal(d))
