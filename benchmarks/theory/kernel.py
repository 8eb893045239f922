r"""The fast path of the theory bench: single-component steps of linear models, compiled.

On a linear model the gradient of one component is :math:`g = p\,a_i + r' x` with two scalars, so a whole Unified SAM
step is one inner product :math:`s = a_i^\top x`, a handful of scalar operations and one update

.. math:: x^+ = \alpha x + \beta a_i .

The perturbed gradient needs no second pass: :math:`a_i^\top (x + e g) = s + e (p \|a_i\|^2 + r' s)`, and
:math:`\|g\|^2 = p^2 \|a_i\|^2 + 2 p r' s + r'^2 \|x\|^2`.

At d = 100 that is some 40 nanoseconds of arithmetic. A tensor program pays about 5 microseconds for each of a dozen
operations whatever their size, so no batching over trials makes it fast at few trials; a NumPy loop pays the same per
trial. Compiled code pays for the arithmetic alone. It is numba and not a C extension, because a wheel of numba needs no
compiler where it is installed.
"""

from math import exp, sqrt

import numpy as np
from numba import njit

from ...variants import TINY

GROUP = 8
"""Iterates that take turns on a core: enough to hide the latency of one's square root behind the others' sums, few
enough to stay in the first-level cache at d in the hundreds."""


@njit(fastmath={"reassoc", "contract"})
def _update(x, scale, push, a, following):
    """Set x to ``scale x + push a`` and return, for the next step, ``following . x`` and ``x . x``, all in one pass.

    Only these sums may be reassociated, which is what lets them use vector instructions.
    """
    s = 0.0
    q = 0.0
    for j in range(len(x)):
        value = scale * x[j] + push * a[j]
        x[j] = value
        s += following[j] * value
        q += value * value
    return s, q


@njit
def _slope(logistic, s, y):
    return -y / (1.0 + exp(y * s)) if logistic else s - y


@njit(nogil=True, error_model="numpy")
def advance(
    features,
    squared_norms,
    targets,
    regularization,
    logistic,
    x,
    first,
    last,
    index,
    factor,
    gamma,
    rho,
    lam,
    marks,
    seen,
):
    """Advance some rows of all iterates, in place; a row is one method in one trial, numbered trial by trial.

    Args:
        features, squared_norms, targets: the rows a_i (n, d), their squared norms (n,), and y (n,).
        regularization: r.
        logistic: whether the link is logistic, else square.
        x: the iterates, (trials, methods, d); those of the rows are overwritten.
        first, last: the rows to advance, ``last`` excluded.
        index, factor: component of each step and the factor of its gradient, (trials, steps).
        gamma, rho, lam: (methods, steps).
        marks: numbers of steps after which to look, increasing, (looks,).
        seen: the iterates there, (looks, trials, methods, d); those of the rows are written.
    """
    methods = x.shape[1]
    steps = index.shape[1]
    s = np.zeros(GROUP)
    q = np.zeros(GROUP)
    for low in range(first, last, GROUP):
        high = min(low + GROUP, last)
        trials = np.arange(low, high) // methods
        which = np.arange(low, high) % methods
        for k in range(high - low):
            a = features[index[trials[k], 0]]
            s[k], q[k] = _update(x[trials[k], which[k]], 1.0, 0.0, a, a)
        look = 0
        for t in range(steps):
            for k in range(high - low):
                trial, m = trials[k], which[k]
                i = index[trial, t]
                following = index[trial, min(t + 1, steps - 1)]
                norm, y, w = squared_norms[i], targets[i], factor[trial, t]
                shrink = w * regularization
                p = w * _slope(logistic, s[k], y)
                size = sqrt(max(p * p * norm + 2.0 * p * shrink * s[k] + shrink * shrink * q[k], 0.0))
                e = rho[m, t] * (1.0 - lam[m, t] + lam[m, t] / (size + TINY))
                ahead = s[k] + e * (p * norm + shrink * s[k])
                scale = 1.0 - gamma[m, t] * shrink * (1.0 + e * shrink)
                push = -gamma[m, t] * (w * _slope(logistic, ahead, y) + shrink * e * p)
                s[k], q[k] = _update(x[trial, m], scale, push, features[i], features[following])
            if look < len(marks) and t + 1 == marks[look]:
                for k in range(high - low):
                    seen[look, trials[k], which[k]] = x[trials[k], which[k]]
                look += 1
