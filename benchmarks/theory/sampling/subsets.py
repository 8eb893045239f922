"""Several components a step, all subsets of a size equally likely; and all components, the largest such subset."""

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np
from torch import Tensor

from ....errors import ConfigError
from ..problems import Problem
from .base import Floats, Integers, Numpy, Residual, Sampling


class Nice(Sampling):
    r"""tau-nice sampling: tau of n components without replacement, :math:`v_i = n / \tau` on them.

    :math:`A = \frac{n - \tau}{\tau (n - 1)} L_{\max}` and :math:`B = \frac{n (\tau - 1)}{\tau (n - 1)}`.

    Raises:
        ConfigError: tau is not in 1..n.
    """

    def __init__(self, name: str, n: int, tau: int):
        if not 1 <= tau <= n:
            raise ConfigError(f"sampling {name!r}: tau={tau} is not possible; give 1 <= tau <= n={n}")
        super().__init__(name, n, tau)

    def draw(self, rng: Numpy, steps: int) -> tuple[Integers, Floats]:
        # The tau smallest of n uniform keys are a uniformly random subset, for any number of steps at once.
        order = np.argpartition(rng.random((steps, self.n)), self.width - 1, axis=1)[:, : self.width]
        return order.astype(np.int64), np.full(order.shape, 1 / self.width)

    def support(self) -> Iterator[tuple[float, Floats]]:
        for subset in combinations(range(self.n), self.width):
            v = np.zeros(self.n)
            v[list(subset)] = self.n / self.width
            yield 1 / comb(self.n, self.width), v

    def second_moment(self, gradients: Tensor) -> Tensor:
        own, shared = self._shares
        squares = gradients.square().sum(-1).mean(-1)
        return own * squares + shared * gradients.mean(-2).square().sum(-1)

    def residual(self, problem: Problem) -> Residual:
        own, shared = self._shares
        a = own * problem.L_max
        return Residual(a, shared, 2 * a * problem.interpolation_gap)

    @property
    def _shares(self) -> tuple[float, float]:
        """Weights of the components' own squared gradients and of that of f in the second moment."""
        n, tau = self.n, self.width
        return (0.0, 1.0) if tau == n else ((n - tau) / (tau * (n - 1)), n * (tau - 1) / (tau * (n - 1)))

    def smoothness(self, problem: Problem) -> float:
        return float(problem.L_i.topk(self.width).values.mean())


class Full(Sampling):
    """Every component, every time: v = 1, A = C = 0, B = 1."""

    def __init__(self, name: str, n: int):
        super().__init__(name, n, n)

    def draw(self, rng: Numpy, steps: int) -> tuple[Integers, Floats]:
        shape = (steps, self.n)
        return np.broadcast_to(np.arange(self.n), shape), np.broadcast_to(1 / self.n, shape)

    def support(self) -> Iterator[tuple[float, Floats]]:
        yield 1.0, np.ones(self.n)

    def second_moment(self, gradients: Tensor) -> Tensor:
        return gradients.mean(-2).square().sum(-1)

    def residual(self, problem: Problem) -> Residual:
        return Residual(0.0, 1.0, 0.0)

    def smoothness(self, problem: Problem) -> float:
        return problem.L
