"""Samplings by name, each made for the problem that it samples."""

from collections.abc import Callable

import numpy as np

from ....registry import Registry
from .base import FiniteSum, Sampling
from .partition import Partition
from .single import SingleElement, Unweighted
from .subsets import Full, Nice

SAMPLINGS: Registry[Callable[[FiniteSum], Sampling]] = Registry("sampling")
"""The samplings, by name: ``@SAMPLINGS.named("uniform")`` adds a function of the problem."""


def make_sampling(name: str, problem: FiniteSum) -> Sampling:
    """Return a sampling of a problem's components by name.

    Raises:
        ConfigError: no such sampling; the message lists them.
    """
    return SAMPLINGS.get(name)(problem)


@SAMPLINGS.named("uniform")
def uniform(problem: FiniteSum) -> Sampling:
    """one component, p_i = 1/n"""
    return SingleElement("uniform", np.ones(problem.n))


@SAMPLINGS.named("importance")
def importance(problem: FiniteSum) -> Sampling:
    """one component, p_i proportional to L_i, weighted by 1/(n p_i)"""
    return SingleElement("importance", problem.L_i.numpy())


@SAMPLINGS.named("importance-unweighted")
def importance_unweighted(problem: FiniteSum) -> Sampling:
    """one component, p_i proportional to L_i, without the weights (as the paper's code; biased)"""
    return Unweighted("importance-unweighted", problem.L_i.numpy())


@SAMPLINGS.named("any-p")
def any_p(problem: FiniteSum) -> Sampling:
    """one component, p_i proportional to 1, 2, ..., n: an arbitrary choice"""
    return SingleElement("any-p", np.arange(1, problem.n + 1))


@SAMPLINGS.named("nice")
def nice(problem: FiniteSum) -> Sampling:
    """tau = 4 components without replacement"""
    return Nice("nice", problem.n, min(4, problem.n))


@SAMPLINGS.named("partition")
def partition(problem: FiniteSum) -> Sampling:
    """one of the consecutive blocks of 4 components, all equally likely"""
    blocks = [list(range(start, min(start + 4, problem.n))) for start in range(0, problem.n, 4)]
    return Partition("partition", blocks)


@SAMPLINGS.named("full")
def full(problem: FiniteSum) -> Sampling:
    """every component"""
    return Full("full", problem.n)
