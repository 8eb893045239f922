r"""Stochastic Hamiltonian gradient descent: descent on :math:`H(z) = \frac12\|F(z)\|^2`, which has no rotation.

Two independent samples give the unbiased :math:`g_H(z) = \frac12 (V^\top g'(z) + V'^\top g(z))`. H is quadratic with
:math:`\mu_H = \kappa^2`, so it is strongly convex also for bilinear games. With
:math:`E\|g_H(z) - g_H(z^*)\|^2 \le 2\mathcal{L} H(z)` and :math:`\sigma_H^2 = E\|g_H(z^*)\|^2`, for
:math:`\gamma \le \frac{1}{2\mathcal{L}}`,

.. math:: E\|z^+ - z^*\|^2 \le (1 - \gamma\mu_H) \|z - z^*\|^2 + 2\gamma^2\sigma_H^2 .

References:
    Loizou, Berard, Jolicoeur-Martineau, Vincent, Lacoste-Julien and Mitliagkas 2020, arXiv 2007.04202.
"""

import numpy as np

from ..bounds import Recursion
from ..sampling import Sampling
from .affine import Advance, AffineGame, Draws, Field, Method, largest_ratio, recursion_of


def start(field: Field, gamma: float) -> Advance:
    def advance(z):
        one, other = field(), field()
        pulls = (v.matrix * w(z)[..., None] for v, w in ((one, other), (other, one)))
        return z - gamma / 2 * sum(pull.sum(-2) for pull in pulls)

    return advance


def pair_constants(game: AffineGame, sampling: Sampling) -> tuple[float, float]:
    """Return the expected smoothness of H and the noise sigma_H squared, by enumeration of all pairs of draws."""
    draws = Draws.of(game, sampling)
    p = np.multiply.outer(draws.probability, draws.probability)
    product = np.einsum("kji,ljm->klim", draws.matrix, draws.matrix)  # V^T V' of every pair
    hessian = (product + np.swapaxes(product, 0, 1)) / 2
    square = np.einsum("kl,klji,kljm->im", p, hessian, hessian)
    pull = np.einsum("kji,lj->kli", draws.matrix, draws(game.solution))
    noise = np.square((pull + np.swapaxes(pull, 0, 1)) / 2).sum(-1)
    return largest_ratio(square, game.matrix.T @ game.matrix), float((p * noise).sum())


def step_size(game: AffineGame, sampling: Sampling) -> float:
    """Return 1 / (2 L) with the expected smoothness L of H."""
    return 1 / (2 * pair_constants(game, sampling)[0])


def guarantee(game: AffineGame, sampling: Sampling, gamma: float) -> Recursion:
    smooth, noise = pair_constants(game, sampling)
    return recursion_of(1 - gamma * game.kappa**2, 2 * gamma**2 * noise, 2 * gamma * smooth <= 1 + 1e-12)


HAMILTONIAN = Method(start, step_size, guarantee)
