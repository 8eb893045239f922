"""Problems whose constants are known: one file for each family; tests verify every constant."""

from . import linear, networks, nonconvex, published, quadratics, real
from .base import Problem
from .linear import LinearModel
from .published import (
    Published,
    published_decreasing,
    published_deterministic,
    published_importance,
    published_logistic,
)
from .real import libsvm
from .registry import PROBLEMS, list_problems, make_problem

__all__ = [
    "PROBLEMS",
    "LinearModel",
    "Problem",
    "Published",
    "libsvm",
    "linear",
    "list_problems",
    "make_problem",
    "networks",
    "nonconvex",
    "published",
    "published_decreasing",
    "published_deterministic",
    "published_importance",
    "published_logistic",
    "quadratics",
    "real",
]
