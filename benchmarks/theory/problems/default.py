"""The model problem of our own figures: well conditioned, so that long-run behaviour is reached in short runs."""

from . import LinearModel
from .linear import ridge


def model_problem() -> LinearModel:
    """Return ridge regression with n = 30, d = 10 and r = 0.3: mu / L_max is about 1/3, and f* is not zero."""
    return ridge(n=30, d=10, condition=2.0, regularization=0.3)
