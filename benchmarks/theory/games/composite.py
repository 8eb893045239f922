r"""Composite problems: a quadratic f plus a term R whose proximal step is cheap.

Proximal SGD steps to :math:`x^+ = \mathrm{prox}_{\gamma R}(x - \gamma g(x))`. For f mu-strongly convex,
:math:`E\|g(x) - g(x^*)\|^2 \le 2\mathcal{L} D_f(x, x^*)` and :math:`\sigma^2 = E\|g(x^*) - \nabla f(x^*)\|^2`, for
:math:`\gamma \le \frac{1}{2\mathcal{L}}`,

.. math:: E\|x^+ - x^*\|^2 \le (1 - \gamma\mu) \|x - x^*\|^2 + 2\gamma^2\sigma^2 :

x* is the proximal step of :math:`x^* - \gamma\nabla f(x^*)` and proximal steps do not expand, so the difference is at
most :math:`\|x - x^* - \gamma (g(x) - \nabla f(x^*))\|^2`; expand it as for gradient descent.

References:
    Gorbunov, Hanzely and Richtarik 2020, arXiv 1905.11261.
    Beznosikov, Gorbunov, Berard and Loizou 2023, arXiv 2202.07262.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..bounds import Recursion
from ..methods import sample_stream
from ..problems import LinearModel
from ..problems.linear import ridge
from ..sampling import Floats, Sampling
from .affine import largest_ratio, mean_square, recursion_of, stacked

Prox = Callable[[Floats, float], Floats]
"""Proximal step of R: from points (..., d) and gamma."""


class Composite:
    """Ridge regression f plus R.

    Args:
        name: name in figures and tables.
        smooth: f, with the square link and a regularization that makes it strongly convex.
        prox: the proximal step of R.
    """

    def __init__(self, name: str, smooth: LinearModel, prox: Prox):
        self.name, self.smooth, self.prox = name, smooth, prox
        a, r = smooth.features.numpy(), smooth.regularization
        self.hessians = a[:, :, None] * a[:, None] + r * np.eye(smooth.d)
        self.pulls = a * smooth.targets.numpy()[:, None]

    @cached_property
    def minimizer(self) -> Floats:
        """The minimizer of f + R, by proximal gradient steps until they stand still."""
        hessian, pull = self.hessians.mean(0), self.pulls.mean(0)
        x, gamma = np.zeros(len(pull)), 1 / self.smooth.L
        while True:
            new = self.prox(x - gamma * (hessian @ x - pull), gamma)
            if np.abs(new - x).max() < 1e-15:
                return new
            x = new

    def step_size(self, sampling: Sampling) -> float:
        """Return 1 / (2 L), with the expected smoothness L: the largest ratio of ``E||V u||^2`` to ``u^T H u``."""
        return 1 / (2 * largest_ratio(mean_square(sampling, self.hessians), self.hessians.mean(0)))

    def guarantee(self, sampling: Sampling, gamma: float) -> Recursion:
        """Return the recursion of ``E||x - x*||^2`` for proximal steps of a size."""
        gradients = self.smooth.component_gradients(self.smooth.x0.new_tensor(self.minimizer))
        valid = gamma <= self.step_size(sampling) * (1 + 1e-12)
        return recursion_of(1 - gamma * self.smooth.mu, 2 * gamma**2 * float(sampling.variance(gradients)), valid)

    def solve(self, sampling: Sampling, gamma: float, record: NDArray[np.int64], trials: int, seed: int) -> Floats:
        """Run proximal SGD and return ``||x - x*||^2`` at the recorded steps, (trials, R)."""
        streams = [sample_stream(sampling, seed, trial) for trial in range(trials)]
        x, out, done = np.tile(self.smooth.x0.numpy(), (trials, 1)), [], 0
        for target in record:
            index, factor = stacked(streams, int(target) - done)
            matrices = np.einsum("btw,btwij->btij", factor, self.hessians[index])
            offsets = np.einsum("btw,btwi->bti", factor, self.pulls[index])
            for matrix, offset in zip(matrices, offsets, strict=True):
                x = self.prox(x - gamma * ((matrix @ x[..., None])[..., 0] - offset), gamma)
            done = int(target)
            out.append(np.square(x - self.minimizer).sum(-1))
        return np.stack(out, -1)


def lasso(strength: float = 0.02) -> Composite:
    """Return ridge regression plus ``strength ||x||_1``, whose proximal step moves every coordinate toward zero."""

    def prox(x: Floats, gamma: float) -> Floats:
        return np.sign(x) * np.maximum(np.abs(x) - gamma * strength, 0.0)

    return Composite("lasso", ridge(n=30, d=10, condition=2.0, regularization=0.1), prox)


def box(bound: float = 0.1) -> Composite:
    """Return ridge regression within ``|x_j| <= bound``: the proximal step is the projection."""
    return Composite(
        "box", ridge(n=30, d=10, condition=2.0, regularization=0.1), lambda x, gamma: np.clip(x, -bound, bound)
    )
