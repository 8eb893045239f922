"""One component a step: uniform, with any probabilities, and the published form without weights."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ....errors import ConfigError
from ..problems import Problem
from .base import Floats, Integers, Numpy, Residual, Sampling


def alias_table(p: Floats) -> tuple[Floats, Integers]:
    """Return Walker's alias table: with it a draw costs one uniform number and no search, for any probabilities.

    A uniform column j is kept with probability ``keep[j]``, else replaced by ``alias[j]`` (Walker 1977, Vose 1991).

    Example:
        >>> keep, alias = alias_table(np.array([0.5, 0.25, 0.25]))
        >>> keep.tolist(), alias.tolist()
        ([1.0, 0.75, 0.75], [0, 0, 0])
    """
    keep, alias = p * len(p), np.arange(len(p))
    short, long = (list(np.flatnonzero(mask)) for mask in (keep < 1, keep >= 1))
    while short and long:
        j, donor = short.pop(), long[-1]
        alias[j] = donor
        keep[donor] -= 1 - keep[j]
        if keep[donor] < 1:
            short.append(long.pop())
    keep[short + long] = 1.0  # what is left differs from one by rounding
    return keep, alias


class SingleElement(Sampling):
    r"""One component, i with probability p_i: :math:`v = e_i / p_i`, :math:`A = \max_i L_i / (n p_i)`, B = 0.

    Uniform probabilities give A = L_max; probabilities proportional to L_i give A = L_avg, the smallest possible.

    Args:
        name: name in figures and tables.
        probabilities: probability p_i > 0 of each component, (n,), normalized here.

    Raises:
        ConfigError: a probability that is not positive.
    """

    def __init__(self, name: str, probabilities: ArrayLike):
        p = np.asarray(probabilities, dtype=np.float64)
        if p.ndim != 1 or not (p > 0).all():
            raise ConfigError(f"sampling {name!r}: every component needs a probability > 0, the least is {p.min()}")
        super().__init__(name, len(p), 1)
        self.p = p / p.sum()
        self.factor = 1 / (self.n * self.p)
        self.keep, self.alias = alias_table(self.p)

    def draw(self, rng: Numpy, steps: int) -> tuple[Integers, Floats]:
        position = rng.random(steps) * self.n
        column = position.astype(np.int64)
        index = np.where(position - column < self.keep[column], column, self.alias[column])
        return index[:, None], self.factor[index][:, None]

    def support(self) -> Iterator[tuple[float, Floats]]:
        for i, probability in enumerate(self.p):
            v = np.zeros(self.n)
            v[i] = self.n * self.factor[i]
            yield float(probability), v

    def second_moment(self, gradients: Tensor) -> Tensor:
        weight = torch.from_numpy(self.p * self.factor**2)
        return (weight * gradients.square().sum(-1)).sum(-1)

    def residual(self, problem: Problem) -> Residual:
        a = self.smoothness(problem)
        return Residual(a, 0.0, 2 * a * problem.interpolation_gap)

    def smoothness(self, problem: Problem) -> float:
        return float((problem.L_i * torch.from_numpy(self.factor)).max())


class Unweighted(SingleElement):
    r"""One component, i with probability p_i, **not** weighted: v = n e_i, biased unless uniform.

    This is how the authors' code samples by importance. Since :math:`E[v_i] = n p_i`, it descends on
    :math:`\sum_i p_i f_i` instead of f. It serves as a comparison; A, B and C do not exist for it.
    """

    unbiased = False

    def __init__(self, name: str, probabilities: ArrayLike):
        super().__init__(name, probabilities)
        self.factor = np.ones(self.n)

    def residual(self, problem: Problem) -> Residual:
        raise ConfigError(
            f"sampling {self.name!r} is biased and has no Expected Residual constants on {problem.name!r}; "
            "use those of 'importance'"
        )

    def variance(self, gradients: Tensor) -> Tensor:
        mean = (torch.from_numpy(self.p)[:, None] * gradients).sum(-2)
        return self.second_moment(gradients) - mean.square().sum(-1)
