r"""Arbitrary sampling: which components enter a stochastic gradient, with which weights, and what that costs.

A sampling is a random vector v with :math:`E[v_i] = 1`. It turns a finite sum into the unbiased gradient
:math:`g(x) = \frac1n \sum_i v_i \nabla f_i(x)`, and it satisfies the Expected Residual condition

.. math:: E\|g(x)\|^2 \le 2A\,(f(x) - f^*) + B\,\|\nabla f(x)\|^2 + C

with constants that it knows (Khaled and Richtarik 2020; Gower, Sebbouh and Loizou 2021). In every case here
:math:`C = 2 A s` with :math:`s = f^* - \frac1n \sum f_i^{\inf}`, so that C vanishes exactly where one point
minimizes all components.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import ConfigError, unknown
from .problems import Problem

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Numpy = np.random.Generator | np.random.RandomState


class Residual(NamedTuple):
    """The constants of the Expected Residual condition."""

    A: float
    B: float
    C: float


class Sampling(ABC):
    """A distribution over weight vectors v.

    Args:
        name: how figures and tables call it.
        n: number of components.
        width: largest number of components in one draw.
    """

    unbiased = True

    def __init__(self, name: str, n: int, width: int):
        self.name = name
        self.n = n
        self.width = width

    @abstractmethod
    def draw(self, rng: Numpy, steps: int) -> tuple[Integers, Floats]:
        """Draw the components of the next steps.

        Returns:
            Components (steps, width), and the factor v_i / n of each, (steps, width); g is the sum of factor times
            grad f_i. The stream does not depend on how it is cut into calls.
        """

    @abstractmethod
    def support(self) -> Iterator[tuple[float, Floats]]:
        """Enumerate every outcome as (probability, v); only for few components."""

    @abstractmethod
    def second_moment(self, gradients: Tensor) -> Tensor:
        """Return E||g||^2 in closed form, from the gradients of all components, (..., n, d) to (...)."""

    @abstractmethod
    def residual(self, problem: Problem) -> Residual:
        """Return the constants A, B, C of the Expected Residual condition on a problem."""

    @abstractmethod
    def smoothness(self, problem: Problem) -> float:
        """Return a Lipschitz constant that every realization of x -> g(x) has."""

    def variance(self, gradients: Tensor) -> Tensor:
        """Return ``E||g - E g||^2`` from the gradients of all components, (..., n, d) to (...)."""
        return self.second_moment(gradients) - gradients.mean(-2).square().sum(-1)


def alias_table(p: Floats) -> tuple[Floats, Integers]:
    """Return Walker's alias table: with it a draw costs one uniform number and no search, for any probabilities.

    A uniform column j is kept with probability ``keep[j]`` and is ``alias[j]`` otherwise (Walker 1977, Vose 1991).

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
        probabilities: p_i > 0; they are normalized.

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
        place = rng.random(steps) * self.n
        column = place.astype(np.int64)
        index = np.where(place - column < self.keep[column], column, self.alias[column])
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
    :math:`\sum_i p_i f_i` instead of f. It is here to be compared with; A, B and C do not exist for it.
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


class Nice(Sampling):
    r"""tau-nice sampling: tau of n components without replacement, :math:`v_i = n / \tau` on them.

    :math:`A = \frac{n - \tau}{\tau (n - 1)} L_{\max}` and :math:`B = \frac{n (\tau - 1)}{\tau (n - 1)}`.

    Raises:
        ConfigError: tau outside 1..n.
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
        n, tau = self.n, self.width
        own = (n - tau) / (tau * max(n - 1, 1))
        shared = n * (tau - 1) / (tau * max(n - 1, 1))
        squares = gradients.square().sum(-1).mean(-1)
        return own * squares + shared * gradients.mean(-2).square().sum(-1)

    def residual(self, problem: Problem) -> Residual:
        n, tau = self.n, self.width
        a = (n - tau) / (tau * max(n - 1, 1)) * problem.L_max
        return Residual(a, n * (tau - 1) / (tau * max(n - 1, 1)), 2 * a * problem.interpolation_gap)

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


class Partition(Sampling):
    r"""One block of a fixed partition, block j with probability q_j: :math:`v_i = 1 / q_j` for i in block j.

    With :math:`\ell_j = \frac1n \sum_{i \in C_j} L_i`, :math:`A = \max_j \ell_j / q_j`, B = 0.

    Args:
        blocks: the components of each block; together each component exactly once.
        probabilities: q_j > 0; normalized; equal when None.

    Raises:
        ConfigError: blocks that are not a partition, or a probability that is not positive.
    """

    def __init__(self, name: str, blocks: list[list[int]], probabilities: ArrayLike | None = None):
        members = sorted(i for block in blocks for i in block)
        q = np.ones(len(blocks)) if probabilities is None else np.asarray(probabilities, dtype=np.float64)
        if members != list(range(len(members))) or len(q) != len(blocks) or not (q > 0).all():
            raise ConfigError(
                f"sampling {name!r}: give blocks that hold each of 0..n-1 exactly once, and one probability > 0 a block"
            )
        super().__init__(name, len(members), max(map(len, blocks)))
        self.blocks = blocks
        self.q = q / q.sum()
        # Shorter blocks are filled up with component 0 at factor 0, so that every draw has the same width.
        self.members = np.zeros((len(blocks), self.width), dtype=np.int64)
        self.factor = np.zeros((len(blocks), self.width))
        for j, block in enumerate(blocks):
            self.members[j, : len(block)] = block
            self.factor[j, : len(block)] = 1 / (self.n * self.q[j])

    def draw(self, rng: Numpy, steps: int) -> tuple[Integers, Floats]:
        cumulative = self.q.cumsum()
        block = np.searchsorted(cumulative / cumulative[-1], rng.random(steps), side="right")
        return self.members[block], self.factor[block]

    def support(self) -> Iterator[tuple[float, Floats]]:
        for probability, block in zip(self.q, self.blocks, strict=True):
            v = np.zeros(self.n)
            v[block] = 1 / probability
            yield float(probability), v

    def second_moment(self, gradients: Tensor) -> Tensor:
        each = [
            gradients[..., block, :].sum(-2).square().sum(-1) / (self.n**2 * float(probability))
            for probability, block in zip(self.q, self.blocks, strict=True)
        ]
        return torch.stack(each).sum(0)

    def residual(self, problem: Problem) -> Residual:
        a = self.smoothness(problem)
        return Residual(a, 0.0, 2 * a * problem.interpolation_gap)

    def smoothness(self, problem: Problem) -> float:
        sums = [float(problem.L_i[block].sum()) / self.n for block in self.blocks]
        return max(total / float(q) for total, q in zip(sums, self.q, strict=True))


def _partition(problem: Problem) -> Sampling:
    blocks = [list(range(start, min(start + 4, problem.n))) for start in range(0, problem.n, 4)]
    return Partition("partition", blocks)


_samplings: dict[str, tuple[str, Callable[[Problem], Sampling]]] = {
    "uniform": ("one component, p_i = 1/n", lambda p: SingleElement("uniform", np.ones(p.n))),
    "importance": (
        "one component, p_i proportional to L_i, weighted by 1/(n p_i)",
        lambda p: SingleElement("importance", p.L_i.numpy()),
    ),
    "importance-unweighted": (
        "one component, p_i proportional to L_i, without the weights (as the paper's code; biased)",
        lambda p: Unweighted("importance-unweighted", p.L_i.numpy()),
    ),
    "any-p": (
        "one component, p_i proportional to 1, 2, ..., n: an arbitrary choice",
        lambda p: SingleElement("any-p", np.arange(1, p.n + 1)),
    ),
    "nice": ("tau = 4 components without replacement", lambda p: Nice("nice", p.n, min(4, p.n))),
    "partition": ("one of the consecutive blocks of 4 components, all equally likely", _partition),
    "full": ("every component", lambda p: Full("full", p.n)),
}


def make_sampling(name: str, problem: Problem) -> Sampling:
    """Return a sampling of a problem's components by name.

    Raises:
        ConfigError: no such sampling; the message lists them.
    """
    if name not in _samplings:
        raise unknown("sampling", name, _samplings)
    return _samplings[name][1](problem)


def list_samplings() -> dict[str, str]:
    """Return every sampling's name with one line on it."""
    return {name: text for name, (text, _) in _samplings.items()}
