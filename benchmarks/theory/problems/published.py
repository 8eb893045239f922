"""The problems of the Unified SAM paper's own experiments, draw by draw.

They reproduce the order in which the authors' code takes numbers from NumPy's legacy generator at seed 3107, so that
the constants it prints can be checked against ours, and its trajectories replayed. Everywhere else this package
uses independent streams.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import ortho_group

from .linear import LinearModel
from .matrices import Matrix
from .registry import PROBLEMS

SEED = 3107


class Published(NamedTuple):
    """A problem, and the generator in the state in which the authors' code starts to draw samples."""

    problem: LinearModel
    rng: np.random.RandomState


def _conditioned(n: int, condition: float, rng: np.random.RandomState) -> Matrix:
    """A symmetric matrix with eigenvalues geometrically spaced from condition^-1/2 to condition^1/2."""
    values = condition ** np.linspace(-0.25, 0.25, n)
    factors = [np.linalg.qr((rng.rand(n, n) - 5.0) * 200)[0] for _ in range(2)]
    root = (factors[0] * values) @ factors[1].T
    return root @ root.T


def published_deterministic(seed: int = SEED) -> Published:
    """Consistent least squares, n = d = 100, condition number 10; the authors write it without the 1/n."""
    rng = np.random.RandomState(seed)
    a = _conditioned(100, 10.0, rng)
    y = a @ rng.randn(100)
    # f = ||A x - y||^2 / 2 is the mean of n components whose rows are sqrt(n) times as long.
    return Published(LinearModel("published-deterministic", 10 * a, 10 * y, x0=rng.randn(100)), rng)


def published_importance(seed: int = SEED) -> Published:
    """Ridge regression on a symmetric matrix with eigenvalues {1, 10, uniform in [1, 2]}, n = d = 100, r = 3/n."""
    rng = np.random.RandomState(seed)
    eigenvalues = np.concatenate(([1.0, 10.0], rng.uniform(1.0, 2.0, 98)))
    q = ortho_group.rvs(100, random_state=rng)
    a = (q * eigenvalues) @ q.T
    y = rng.randn(100)
    return Published(LinearModel("published-importance", a, y, regularization=0.03, x0=rng.randn(100)), rng)


def published_decreasing(seed: int = SEED) -> Published:
    """Ridge regression with targets from a linear model, n = d = 100, condition number 10, r = 3/n."""
    rng = np.random.RandomState(seed)
    a = _conditioned(100, 10.0, rng)
    y = a @ rng.randn(100)
    return Published(LinearModel("published-decreasing", a, y, regularization=0.03, x0=rng.randn(100)), rng)


def published_logistic(seed: int = SEED) -> Published:
    """Logistic regression on Gaussian features and random labels, n = 200, d = 10, r = 1/n.

    The authors halve the loss, regularize it by the norm and its gradient by the squared norm, and use four times the
    smoothness constant of the data term. This is the same data under the usual, consistent definition.
    """
    rng = np.random.RandomState(seed)
    a, y = rng.randn(200, 10), rng.choice([-1, 1], size=200)
    return Published(LinearModel("published-logistic", a, y.astype(float), "logistic", 1 / 200, rng.randn(10)), rng)


@PROBLEMS.named("published-deterministic")
def _deterministic() -> LinearModel:
    """The paper's deterministic experiment: mu = .1, L = 10."""
    return published_deterministic().problem


@PROBLEMS.named("published-importance")
def _importance() -> LinearModel:
    """The paper's importance-sampling experiment: mu = .04, L_avg = 3.3016, L_max = 8.4140."""
    return published_importance().problem


@PROBLEMS.named("published-decreasing")
def _decreasing() -> LinearModel:
    """The paper's experiment with decreasing steps: mu = .031, L_avg = 2.209, L_max = 3.117."""
    return published_decreasing().problem


@PROBLEMS.named("published-logistic")
def _logistic() -> LinearModel:
    """The data of the paper's SGD experiment, with a loss and a gradient that agree."""
    return published_logistic().problem
