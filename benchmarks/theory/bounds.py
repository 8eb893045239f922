r"""The guarantee behind the step sizes, with explicit constants, so that it can be drawn and checked.

Let :math:`e = \rho(1 - \lambda + \lambda / \|g\|)\, g` be the perturbation, :math:`h` the stochastic gradient at
:math:`x + e` and :math:`\ell` a Lipschitz constant of every realization of g. Smoothness of f gives

.. math:: E f(x^+) \le f - \gamma \langle \nabla f, E h \rangle + \tfrac{L \gamma^2}{2} E\|h\|^2 .

With :math:`\|h - g\| \le \ell \|e\|`, Young's inequality turns this into

.. math:: E f(x^+) \le f - \tfrac{\gamma}{2} \|\nabla f\|^2 + L \gamma^2 E\|g\|^2
    + \ell^2 (\tfrac{\gamma}{2} + L \gamma^2) E\|e\|^2,

and :math:`\|e\|^2 \le k \rho^2 ((1-\lambda)^2 \|g\|^2 + \lambda^2)` with k = 1 for lambda in {0, 1}, else k = 2.
Expected Residual and the PL inequality close the recursion for :math:`\delta_t = E f(x_t) - f^*`: with
:math:`Q = L \gamma^2 + k \ell^2 (\frac{\gamma}{2} + L \gamma^2) \rho^2 (1-\lambda)^2`, if :math:`Q B \le \gamma/2`,

.. math:: \delta_{t+1} \le \big(1 - \gamma \mu + 2 Q (B \mu + A)\big)\, \delta_t
    + Q C + k \ell^2 (\tfrac{\gamma}{2} + L \gamma^2) \rho^2 \lambda^2 .

At the step sizes of Theorem 3.2 of the Unified SAM paper the factor is at most :math:`1 - \gamma \mu / 2`: linear
convergence to a neighbourhood, as the theorem states. The paper's own constants are not used here; these are derived
above and hold for every gamma, rho, lambda and sampling that meets the condition.

Without the PL inequality the same steps bound the gradient. With :math:`G_t = E\|\nabla f(x_t)\|^2`,
:math:`a = 1 + 2 Q A`, :math:`\eta = \frac{\gamma}{2} - Q B > 0` and the noise N above,
:math:`\delta_{t+1} \le a \delta_t - \eta G_t + N`; dividing by :math:`a^{t+1}` and summing over T steps,

.. math:: \min_{t < T} G_t \le \frac{\delta_0}{\eta \sum_{t=1}^{T} a^{-t}} + \frac{N}{\eta} .

With :math:`\gamma \propto T^{-1/2}` and :math:`\rho \propto T^{-1/4}` both terms are of order :math:`T^{-1/2}`, for
every lambda: :math:`E\|\nabla f\| < \epsilon` after :math:`O(\epsilon^{-4})` steps. That is the form of Theorem 3.7;
its own condition on the steps is not in the authors' code, and is not claimed here.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .problems import Problem
from .sampling import Sampling

Floats = NDArray[np.float64]


class Recursion(NamedTuple):
    """``delta_{t+1} <= factor_t delta_t + noise_t``; both are NaN where the condition on the step size fails."""

    factor: Floats
    noise: Floats

    def neighbourhood(self) -> Floats:
        """Return the fixed point noise / (1 - factor), to which constant steps converge; infinite if factor >= 1."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.factor < 1, self.noise / (1 - self.factor), np.inf)


def recursion(problem: Problem, sampling: Sampling, gamma: Floats, rho: Floats, lam: Floats) -> Recursion:
    """Return the one-step guarantee of Unified SAM at these gamma, rho and lambda (elementwise).

    SGD is rho = 0.
    """
    a, b, _ = sampling.residual(problem)
    q, noise = _second_order(problem, sampling, gamma, rho, lam)
    factor = 1 - gamma * problem.mu + 2 * q * (b * problem.mu + a)
    valid = q * b <= gamma / 2
    return Recursion(np.where(valid, factor, np.nan), np.where(valid, noise, np.nan))


def stationarity(
    problem: Problem, sampling: Sampling, gamma: Floats, rho: Floats, lam: Floats, horizon: Floats
) -> Floats:
    """Return the guarantee on the least ``E||grad f(x_t)||^2`` over t < horizon of constant steps (elementwise).

    It does not use the PL inequality; NaN where the condition on the step size fails.
    """
    a, b, _ = sampling.residual(problem)
    q, noise = _second_order(problem, sampling, gamma, rho, lam)
    growth, descent = 2 * q * a, gamma / 2 - q * b
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.where(growth > 0, -np.expm1(-horizon * np.log1p(growth)) / growth, horizon)
    bound = (float(problem.gap(problem.x0)) / total + noise) / descent
    return np.where(descent > 0, bound, np.nan)


def _second_order(
    problem: Problem, sampling: Sampling, gamma: Floats, rho: Floats, lam: Floats
) -> tuple[Floats, Floats]:
    """Return Q, the factor of the second moment of g, and the noise: Q C plus the part of e with lambda^2."""
    young = np.where((lam == 0) | (lam == 1), 1.0, 2.0)
    ascent = young * sampling.smoothness(problem) ** 2 * (gamma / 2 + problem.L * gamma**2) * rho**2
    q = problem.L * gamma**2 + ascent * (1 - lam) ** 2
    return q, q * sampling.residual(problem).C + ascent * lam**2


def curve(start: float, steps: Recursion) -> Floats:
    """Follow the recursion from ``start`` and return the guarantee after each step, one longer than the recursion.

    Example:
        >>> curve(4.0, Recursion(np.full(3, 0.5), np.full(3, 1.0))).tolist()
        [4.0, 3.0, 2.5, 2.25]
    """
    return _follow(start, steps.factor, steps.noise)


@njit
def _follow(start: float, factor: Floats, noise: Floats) -> Floats:
    out = np.empty(len(factor) + 1)
    out[0] = start
    for t in range(len(factor)):
        out[t + 1] = factor[t] * out[t] + noise[t]
    return out
