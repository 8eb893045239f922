"""Arbitrary sampling: which components enter a stochastic gradient, with which weights, and what that costs."""

from .base import FiniteSum, Floats, Integers, Residual, Sampling
from .partition import Partition
from .registry import SAMPLINGS, make_sampling
from .single import SingleElement, Unweighted
from .subsets import Full, Nice

__all__ = [
    "SAMPLINGS",
    "FiniteSum",
    "Floats",
    "Full",
    "Integers",
    "Nice",
    "Partition",
    "Residual",
    "Sampling",
    "SingleElement",
    "Unweighted",
    "make_sampling",
]
