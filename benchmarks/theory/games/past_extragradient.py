r"""Past extragradient, with one call of the field a step.

:math:`w_k = z_k - \gamma g_{k-1}(w_{k-1})` and :math:`z_{k+1} = z_k - \gamma g_k(w_k)`; the first step has no past,
:math:`w_0 = z_0`. For :math:`\gamma \le \min\{\frac{1}{4L}, \frac{\mu}{20\delta}\}`, delta as in
:mod:`.extragradient`, the potential :math:`\Psi_k = \|z_k - z^*\|^2 + \|z_k - w_{k-1}\|^2 +
8\gamma^2 \|g_{k-1}(w_{k-1}) - F(w_{k-1})\|^2` satisfies

.. math:: E\Psi_{k+1} \le (1 - \tfrac{\gamma\mu}{2}) E\Psi_k + 20\gamma^2\sigma^2, \qquad
    E\Psi_1 \le \tfrac87 (1 - \tfrac{\gamma\mu}{2}) \|z_0 - z^*\|^2 + 20\gamma^2\sigma^2 .

The exact step is :math:`\|z_{k+1} - z^*\|^2 = \|z_k - z^*\|^2 - 2\gamma\langle g_k(w_k), w_k - z^*\rangle +
\|z_{k+1} - w_k\|^2 - \|z_k - w_k\|^2` with :math:`z_{k+1} - w_k = -\gamma (g_k(w_k) - g_{k-1}(w_{k-1}))`. That
difference is bounded by the variance at w_k, the error at w_{k-1} and
:math:`2L^2(\|w_k - z_k\|^2 + \|z_k - w_{k-1}\|^2)`; half of strong monotonicity pays for :math:`\|z_k - z^*\|^2` and
half for :math:`20\gamma^2\delta\|w_k - z^*\|^2`.

References:
    Choudhury, Gorbunov and Loizou 2023, arXiv 2302.14043, whose theorem has this form with other constants.
"""

import numpy as np

from ..bounds import Recursion
from ..sampling import Sampling
from .affine import Advance, AffineGame, Draws, Field, Method, recursion_of
from .extragradient import variation


def start(field: Field, gamma: float) -> Advance:
    past = 0.0

    def advance(z):
        nonlocal past
        past = field()(z - gamma * past)
        return z - gamma * past

    return advance


def step_size(game: AffineGame, sampling: Sampling) -> float:
    """Return min{1 / (4 L), mu / (20 delta)}; the first term alone without strong monotonicity."""
    delta = variation(game, sampling)
    return min(1 / (4 * game.L), game.mu / (20 * delta) if game.mu * delta > 1e-12 else np.inf)


def guarantee(game: AffineGame, sampling: Sampling, gamma: float) -> Recursion:
    slack = 1 + 1e-12
    valid = 4 * gamma * game.L <= slack and 20 * gamma * variation(game, sampling) <= game.mu * slack
    noise = Draws.of(game, sampling).noise(game.solution)
    return recursion_of(1 - gamma * game.mu / 2, 20 * gamma**2 * noise, valid and game.mu > 1e-12)


PAST = Method(start, step_size, guarantee, head=8 / 7)
