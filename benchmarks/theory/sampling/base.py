r"""The base class of samplings: a random weight vector, its distribution, and the constants that follow from it.

A sampling is a random vector v with :math:`E[v_i] = 1`. It turns a finite sum into the unbiased gradient
:math:`g(x) = \frac1n \sum_i v_i \nabla f_i(x)`, and it satisfies the Expected Residual condition

.. math:: E\|g(x)\|^2 \le 2A\,(f(x) - f^*) + B\,\|\nabla f(x)\|^2 + C

with known constants (Khaled and Richtarik 2020; Gower, Sebbouh and Loizou 2021). In every case here
:math:`C = 2 A s` with :math:`s = f^* - \frac1n \sum f_i^{\inf}`, so that C vanishes exactly where one point
minimizes all components.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..problems import Problem

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Numpy = np.random.Generator | np.random.RandomState


class FiniteSum(Protocol):
    """What a sampling is made for: a number of components, with a Lipschitz constant of each."""

    L_i: Tensor

    @property
    def n(self) -> int: ...


class Residual(NamedTuple):
    """The constants of the Expected Residual condition."""

    A: float
    B: float
    C: float


class Sampling(ABC):
    """A distribution over weight vectors v.

    Args:
        name: name in figures and tables.
        n: number of components of the problem.
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
