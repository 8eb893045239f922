"""Samplings by name, each made for the problem that it samples."""

from collections.abc import Callable

import numpy as np

from ....errors import unknown
from ..problems import Problem
from .base import Sampling
from .partition import Partition
from .single import SingleElement, Unweighted
from .subsets import Full, Nice


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
