r"""Stochastic extragradient: :math:`z^+ = z - \gamma g'(z - \gamma g(z))`, with the same or an independent sample.

**Same sample** (g' = g). Let every draw be monotone with constants :math:`\mu_v \ge 0` and Lipschitz with L_v, write
:math:`\bar\mu = E\mu_v`, :math:`\sigma^2 = E\|g(z^*)\|^2`, kappa for the least singular value of M and
:math:`h = \frac12 (1 - \gamma^2 L_v^2 - 2\gamma\mu_v)`, least over the draws. If h > 0,

.. math:: E\|z^+ - z^*\|^2 \le (1 - \gamma\bar\mu - \gamma^2 h \kappa^2) \|z - z^*\|^2 + \gamma^2 \sigma^2 / h .

With :math:`\bar z = z - \gamma g(z)` split :math:`\langle g(\bar z), z - z^*\rangle` at :math:`\bar z`; then
:math:`2\langle g(\bar z), g(z)\rangle \ge \|g(\bar z)\|^2 + (1 - \gamma^2 L_v^2)\|g(z)\|^2`, monotonicity with
:math:`\|\bar z - z^*\|^2 \ge \frac12\|z - z^*\|^2 - \gamma^2\|g(z)\|^2`, and
:math:`2\langle g(z^*), g(z)\rangle \le \|g(z^*)\|^2 / h + h\|g(z)\|^2` leave :math:`-\gamma^2 h \|g(z)\|^2`, whose
expectation is at most :math:`-\gamma^2 h \kappa^2 \|z - z^*\|^2`.

**Independent sample**. Let :math:`E\|(V - M)u\|^2 \le \delta\|u\|^2`,
:math:`r = 1 - 2\gamma^2 L^2 - 2\gamma\mu \ge 0` and :math:`s = 1 + 2\gamma^2 L^2 + 2\delta\gamma^2`. The same steps,
with the variance of g at z and at :math:`\bar z`, give

.. math:: E\|z^+ - z^*\|^2 \le (1 - \gamma\mu - \gamma^2 r \kappa^2 + 2\delta\gamma^2 (1 + \gamma^2 L^2 + s))
    \|z - z^*\|^2 + 2\gamma^2 \sigma^2 (1 + s) .

Both are statements of the form that Gorbunov et al. prove, for the same sample without and for independent ones with a
limit mu / delta on the step size; the constants are those of the derivation above.

References:
    Gorbunov, Berard, Gidel and Loizou 2022, arXiv 2111.08611.
"""

import numpy as np

from ..bounds import Recursion
from ..sampling import Sampling
from .affine import Advance, AffineGame, Draws, Field, Method, least_symmetric, mean_square, recursion_of


def same(field: Field, gamma: float) -> Advance:
    def advance(z):
        g = field()
        return z - gamma * g(z - gamma * g(z))

    return advance


def independent(field: Field, gamma: float) -> Advance:
    def advance(z):
        ahead = z - gamma * field()(z)
        return z - gamma * field()(ahead)

    return advance


def variation(game: AffineGame, sampling: Sampling) -> float:
    """Return the least delta: the largest eigenvalue of ``E (V - M)^T (V - M)``."""
    return max(float(np.linalg.eigvalsh(mean_square(sampling, game.matrices) - game.matrix.T @ game.matrix)[-1]), 0.0)


def same_step_size(game: AffineGame, sampling: Sampling) -> float:
    """Return a quarter of 1 over the largest L_v."""
    return 1 / (4 * float(np.linalg.norm(Draws.of(game, sampling).matrix, 2, axis=(1, 2)).max()))


def same_guarantee(game: AffineGame, sampling: Sampling, gamma: float) -> Recursion:
    draws = Draws.of(game, sampling)
    mu = np.maximum(least_symmetric(draws.matrix), 0.0)
    h = float((1 - (gamma * np.linalg.norm(draws.matrix, 2, axis=(1, 2))) ** 2 - 2 * gamma * mu).min()) / 2
    monotone = bool((least_symmetric(draws.matrix) > -1e-9).all())
    factor = 1 - gamma * float(draws.probability @ mu) - gamma**2 * h * game.kappa**2
    return recursion_of(factor, gamma**2 * draws.noise(game.solution) / h, monotone and h > 0)


def independent_step_size(game: AffineGame, sampling: Sampling) -> float:
    """Return min{1 / (4 L), mu / (10 delta)}; the first term alone without strong monotonicity."""
    delta = variation(game, sampling)
    return min(1 / (4 * game.L), game.mu / (10 * delta) if game.mu * delta > 1e-12 else np.inf)


def independent_guarantee(game: AffineGame, sampling: Sampling, gamma: float) -> Recursion:
    delta, small = variation(game, sampling), (gamma * game.L) ** 2
    r, s = 1 - 2 * small - 2 * gamma * game.mu, 1 + 2 * small + 2 * delta * gamma**2
    factor = 1 - gamma * game.mu - gamma**2 * r * game.kappa**2 + 2 * delta * gamma**2 * (1 + small + s)
    return recursion_of(factor, 2 * gamma**2 * Draws.of(game, sampling).noise(game.solution) * (1 + s), r >= 0)


SAME_SAMPLE = Method(same, same_step_size, same_guarantee)
INDEPENDENT = Method(independent, independent_step_size, independent_guarantee)
