"""The base class of theory problems: finite sums whose constants are all known."""

from abc import ABC, abstractmethod
from functools import cached_property
from math import inf

import torch
from torch import Tensor


def matvec(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return a batch of small products, (..., r, c) times (..., c), elementwise: ``@`` starts threads for every one."""
    return (matrix * vector[..., None, :]).sum(-1)


def matmul(left: Tensor, right: Tensor) -> Tensor:
    """Return a batch of small products, (..., r, k) times (..., k, c), elementwise as in :func:`matvec`."""
    return (left[..., None] * right[..., None, :, :]).sum(-2)


class Problem(ABC):
    r"""A finite sum :math:`f(x) = \frac{1}{n} \sum_i f_i(x)` on :math:`\mathbb{R}^d`, with its constants.

    Everything is float64. A subclass states :meth:`losses` (differentiable, so that any step rule can run on it through
    autograd) and :meth:`gradient` (closed form, for many points at once); tests compare the two.

    Args:
        name: name in figures and tables.
        x0: start of the solvers, (d,).
        mu: PL constant: ``||grad f(x)||^2 >= 2 mu (f(x) - f*)``.
        L: Lipschitz constant of grad f.
        L_i: Lipschitz constants of grad f_i, (n,).
        minimum: f*, the minimum of f.
        component_minima: f_i^inf, the infimum of each f_i, (n,).
        minimizer: one x* with f(x*) = f*, (d,).
        radius: distance from ``x0`` within which ``mu``, ``L`` and ``L_i`` hold; infinite if they hold everywhere.
    """

    def __init__(
        self,
        *,
        name: str,
        x0: Tensor,
        mu: float,
        L: float,
        L_i: Tensor,
        minimum: float,
        component_minima: Tensor,
        minimizer: Tensor,
        radius: float = inf,
    ):
        self.name = name
        self.x0 = x0
        self.mu = mu
        self.L = L
        self.L_i = L_i
        self.minimum = minimum
        self.component_minima = component_minima
        self.minimizer = minimizer
        self.radius = radius

    @abstractmethod
    def losses(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        """Return f_i(x) for the components in ``index``.

        Args:
            x: points at which to evaluate, (..., d).
            index: components, int64 (..., k) with the leading dimensions of ``x``; all n if ``None``.

        Returns:
            f_i(x), (..., k), or (..., n) for all components.
        """

    @abstractmethod
    def gradient(self, x: Tensor, index: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        """Return ``sum_k weight_k grad f_{index_k}(x)`` in closed form, at m points at once.

        Args:
            x: points at which to evaluate, (m, d).
            index: components, int64 (m, k); ``None`` gives the full gradient, grad f.
            weight: weight of each component, (m, k); given together with ``index``.

        Returns:
            The weighted sum of gradients at each point, (m, d).
        """

    @property
    def n(self) -> int:
        """Number of components."""
        return len(self.L_i)

    @property
    def d(self) -> int:
        """Dimension of x."""
        return len(self.x0)

    @property
    def L_max(self) -> float:
        """The largest L_i."""
        return float(self.L_i.max())

    @property
    def L_avg(self) -> float:
        """The mean of L_i."""
        return float(self.L_i.mean())

    @property
    def interpolation_gap(self) -> float:
        """``f* - (1/n) sum f_i^inf``: zero exactly when one point minimizes every component."""
        return float(self.minimum - self.component_minima.mean())

    @cached_property
    def sigma_star(self) -> float:
        """``sqrt((1/n) sum ||grad f_i(x*)||^2)``: the gradient noise of uniform sampling that is left at x*."""
        return float(self.component_gradients(self.minimizer).square().sum(-1).mean().sqrt())

    def value(self, x: Tensor) -> Tensor:
        """Return f(x) for points (..., d)."""
        return self.losses(x).mean(-1)

    def gap(self, x: Tensor) -> Tensor:
        """Return ``f(x) - f*`` for points (..., d), as free of cancellation as the problem allows."""
        return self.value(x) - self.minimum

    def component_gradients(self, x: Tensor) -> Tensor:
        """Return grad f_i(x) of every component at one point (d,), as (n, d)."""
        every = torch.arange(self.n)[:, None]
        return self.gradient(x.expand(self.n, -1), every, torch.ones(self.n, 1, dtype=x.dtype))
