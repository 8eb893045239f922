r"""Step sizes by name: rules of theorems, and rules of thumb, that compute them from a problem's constants.

A step size is one function of the constants, the steps t = 0, 1, ... and lambda at those steps; it returns gamma_t and
rho_t. A new one is a function with ``@STEP_SIZES.named(...)`` above it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...registry import Registry
from .problems import Problem
from .sampling import Sampling

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Constants:
    """The constants that a step size may depend on.

    Args:
        mu: PL constant of the problem.
        L: smoothness constant in the theory of the sampling: L for full batches, else L_max, or the Lipschitz constant
            of the stochastic gradient if that is larger.
        A, B, C: constants of the Expected Residual condition.
        horizon: number of steps of the run, for rules that depend on it.
    """

    mu: float
    L: float
    A: float
    B: float
    C: float
    horizon: int

    @classmethod
    def of(cls, problem: Problem, sampling: Sampling, horizon: int) -> "Constants":
        """Return the constants of a problem under a sampling.

        Example:
            >>> from sambench.benchmarks.theory.problems import make_problem
            >>> from sambench.benchmarks.theory.sampling import make_sampling
            >>> problem = make_problem("symmetric")
            >>> c = Constants.of(problem, make_sampling("importance", problem), 100)
            >>> round(c.A - problem.L_avg, 12), c.L == problem.L_max, c.B
            (0.0, True, 0.0)
        """
        a, b, c = sampling.residual(problem)
        smooth = sampling.smoothness(problem)
        full = sampling.width == problem.n
        return cls(problem.mu, smooth if full else max(smooth, problem.L_max), a, b, c, horizon)

    @property
    def growth(self) -> float:
        """``B mu + A``: how the second moment of the stochastic gradient grows with the distance from the optimum."""
        return self.B * self.mu + self.A


StepSize = Callable[[Constants, Floats, Floats], tuple[Floats, Floats]]
STEP_SIZES: Registry[StepSize] = Registry("step size")
"""The step sizes, by name: ``@STEP_SIZES.named("theorem-3.2")`` adds ``rule(constants, t, lam) -> (gamma, rho)``."""


def lam_values(lam: float | str, t: Floats) -> Floats:
    """Return lambda at the steps t = 0, 1, ...; the schedules ``1/t`` and ``1-1/t`` count steps from one.

    Example:
        >>> lam_values("1-1/t", np.arange(3.0)).tolist()
        [0.0, 0.5, 0.6666666666666667]

    Raises:
        ConfigError: a number outside [0, 1] or another text.
    """
    if lam == "1/t":
        return 1 / (t + 1)
    if lam == "1-1/t":
        return 1 - 1 / (t + 1)
    if isinstance(lam, str) or not 0 <= lam <= 1:
        raise ConfigError(f"lam={lam!r} is not valid: give a number in [0, 1], '1/t' or '1-1/t'")
    return np.full_like(t, lam)


def fixed(gamma: float, rho: float) -> StepSize:
    """Return a step size with constant gamma and rho, independent of the constants."""

    def rule(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
        return np.full_like(t, gamma), np.full_like(t, rho)

    return rule


@STEP_SIZES.named("theorem-3.2")
def theorem_3_2(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
    r"""Constant steps of the Unified SAM paper: linear convergence to a neighbourhood.

    .. math:: \gamma = \min\{\tfrac{2}{L}, \tfrac{\mu}{8 L (B\mu + A)}\},\quad
        \rho = \min\{\tfrac{1}{4L}, \tfrac{\mu}{8 L (B\mu + A)(1-\lambda)^2}\}
    """
    gamma = min(2 / c.L, c.mu / (8 * c.L * c.growth))
    with np.errstate(divide="ignore"):
        rho = np.minimum(1 / (4 * c.L), c.mu / (8 * c.L * c.growth * (1 - lam) ** 2))
    return np.full_like(t, gamma), rho


@STEP_SIZES.named("theorem-3.2-older")
def theorem_3_2_older(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
    r"""Constant steps in the other form that stands in the authors' code, at half the largest rho.

    .. math:: \rho = \frac{\mu}{2 L (\mu + 2 (B\mu + A)(1-\lambda)^2)},\quad
        \gamma = \frac{\mu - L \rho (\mu + 2 (B\mu + A)(1-\lambda)^2)}
        {2 L (B\mu + A)(2 L^2 \rho^2 (1-\lambda)^2 + 1)}
    """
    width = c.mu + 2 * c.growth * (1 - lam) ** 2
    rho = c.mu / (2 * c.L * width)
    gamma = (c.mu - c.L * rho * width) / (2 * c.L * c.growth * (2 * (c.L * rho * (1 - lam)) ** 2 + 1))
    return gamma, rho


@STEP_SIZES.named("theorem-3.2-first-terms")
def theorem_3_2_first_terms(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
    r"""The first terms of the minima of Theorem 3.2 alone, which some stored pictures of the authors print.

    .. math:: \gamma = \tfrac{2}{L},\quad \rho = \tfrac{1}{4L}
    """
    return np.full_like(t, 2 / c.L), np.full_like(t, 1 / (4 * c.L))


def decreasing(constant: StepSize) -> StepSize:
    r"""Return the decreasing steps that start as constant ones, gamma* and rho*.

    .. math:: \gamma_t = \min\{\gamma^*, \tfrac{2t+1}{(t+1)^2 \mu}\},\quad \rho_t = \min\{\rho^*, \tfrac{1}{2t+1}\}
    """

    def rule(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
        gamma, rho = constant(c, t, lam)
        return np.minimum(gamma, (2 * t + 1) / ((t + 1) ** 2 * c.mu)), np.minimum(rho, 1 / (2 * t + 1))

    return rule


@STEP_SIZES.named("theorem-3.5")
def theorem_3_5(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
    r"""Decreasing steps of the Unified SAM paper: O(1/t) to the minimum itself.

    .. math:: \gamma_t = \min\{\gamma^*, \tfrac{2t+1}{(t+1)^2 \mu}\},\quad \rho_t = \min\{\rho^*, \tfrac{1}{2t+1}\}

    with the constants of ``theorem-3.2`` as gamma* and rho*.
    """
    return decreasing(theorem_3_2)(c, t, lam)


@STEP_SIZES.named("af-nonconvex")
def af_nonconvex(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
    r"""Andriushchenko and Flammarion (2022) for USAM on non-convex functions, by the horizon T.

    .. math:: \gamma = \frac{1}{L \sqrt T},\quad \rho = \frac{1}{L T^{1/4}}
    """
    return np.full_like(t, c.horizon**-0.5 / c.L), np.full_like(t, c.horizon**-0.25 / c.L)


@STEP_SIZES.named("af-pl")
def af_pl(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
    r"""Andriushchenko and Flammarion (2022) for USAM on PL functions, decreasing.

    .. math:: \gamma_t = \min\{\tfrac{8t+4}{3 \mu (t+1)^2}, \tfrac{1}{2L}\},\quad \rho_t = \sqrt{\gamma_t / L}
    """
    gamma = np.minimum((8 * t + 4) / (3 * c.mu * (t + 1) ** 2), 1 / (2 * c.L))
    return gamma, np.sqrt(gamma / c.L)


@STEP_SIZES.named("sgd-half")
def sgd_half(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
    r"""Constant SGD, half as long as smoothness allows.

    .. math:: \gamma = \frac{1}{2L}
    """
    return np.full_like(t, 1 / (2 * c.L)), np.zeros_like(t)


@STEP_SIZES.named("sgd-constant")
def sgd_constant(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
    r"""Constant SGD with a PL guarantee.

    .. math:: \gamma = \frac{\mu}{L (\mu + 2L)}
    """
    return np.full_like(t, c.mu / (c.L * (c.mu + 2 * c.L))), np.zeros_like(t)


@STEP_SIZES.named("sgd-decreasing")
def sgd_decreasing(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
    r"""Decreasing SGD.

    .. math:: \gamma_t = \min\{\tfrac{1}{2L}, \tfrac{2t+1}{(t+1)^2 \mu}\}
    """
    return decreasing(sgd_half)(c, t, lam)


@STEP_SIZES.named("sgd-constant-decreasing")
def sgd_constant_decreasing(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
    r"""Decreasing SGD from the constant step with a PL guarantee.

    .. math:: \gamma_t = \min\{\tfrac{\mu}{L (\mu + 2L)}, \tfrac{2t+1}{(t+1)^2 \mu}\}
    """
    return decreasing(sgd_constant)(c, t, lam)
