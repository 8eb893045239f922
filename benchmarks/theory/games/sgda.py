r"""Stochastic gradient descent-ascent: :math:`z^+ = z - \gamma g(z)`.

With :math:`E\|g(z) - g(z^*)\|^2 \le \ell \langle F(z), z - z^*\rangle` (expected co-coercivity) and
:math:`\sigma^2 = E\|g(z^*)\|^2`, for :math:`\gamma \le \frac{1}{2\ell}`,

.. math:: E\|z^+ - z^*\|^2 \le (1 - \gamma\mu) \|z - z^*\|^2 + 2 \gamma^2 \sigma^2 :

expand the square, use :math:`E\|g(z)\|^2 \le 2 \ell \langle F(z), z - z^*\rangle + 2\sigma^2` and strong monotonicity.

References:
    Loizou, Berard, Gidel, Mitliagkas and Lacoste-Julien 2021, arXiv 2107.00052, on expected co-coercivity.
"""

from ..bounds import Recursion
from ..sampling import Sampling
from .affine import Advance, AffineGame, Draws, Field, Method, largest_ratio, mean_square, recursion_of


def start(field: Field, gamma: float) -> Advance:
    return lambda z: z - gamma * field()(z)


def cocoercivity(game: AffineGame, sampling: Sampling) -> float:
    """Return the least ell: the largest ratio of ``E||V u||^2`` to ``u^T M u``."""
    return largest_ratio(mean_square(sampling, game.matrices), (game.matrix + game.matrix.T) / 2)


def step_size(game: AffineGame, sampling: Sampling) -> float:
    """Return 1 / (2 ell); without strong monotonicity, where there is none, 1 / (4 L)."""
    return 1 / (2 * cocoercivity(game, sampling)) if game.mu > 1e-12 else 1 / (4 * game.L)


def guarantee(game: AffineGame, sampling: Sampling, gamma: float) -> Recursion:
    noise = Draws.of(game, sampling).noise(game.solution)
    valid = game.mu > 1e-12 and gamma * 2 * cocoercivity(game, sampling) <= 1 + 1e-12
    return recursion_of(1 - gamma * game.mu, 2 * gamma**2 * noise, valid)


SGDA = Method(start, step_size, guarantee)
