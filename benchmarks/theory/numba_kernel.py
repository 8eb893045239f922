r"""The fast path of the theory bench: single-component steps of linear models, compiled.

On a linear model the gradient of one component is :math:`g = p\,a_i + r' x` with two scalars, so a whole Unified SAM
step is one inner product :math:`s = a_i^\top x`, a handful of scalar operations and one update

.. math:: x^+ = \alpha x + \beta a_i .

The perturbed gradient needs no second pass: :math:`a_i^\top (x + e g) = s + e (p \|a_i\|^2 + r' s)`, and
:math:`\|g\|^2 = p^2 \|a_i\|^2 + 2 p r' s + r'^2 \|x\|^2`.

At d = 100 that is some 40 nanoseconds of arithmetic. A tensor program pays about 5 microseconds for each of a dozen
operations whatever their size, so no batching over trials makes it fast at few trials; a NumPy loop pays the same per
trial. Compiled code pays for the arithmetic only. It is numba and not a C extension, because a wheel of numba needs no
compiler on the user's machine.

The methods of a trial share its samples; trials share only the step sizes, and each reads rows of its own. Time is
proportional to the number of trials once every core is busy, which takes a handful of them. Three other
layouts were tried at d = 100 and are not faster: one pass for a step's update and the next step's inner products (the
compiler stops using vector instructions), two steps a pass with the inner product of their rows (as fast, twice the
code), and rows of several trials in turns (slower: the indirection costs more than the latency that it hides).
"""

from math import exp, sqrt

import numpy as np
from numba import njit

from ...variants import TINY


@njit(fastmath={"reassoc", "contract"})
def _inner(a, x):
    """Return a.x and x.x; only these sums may be reassociated, which allows vector instructions."""
    s = 0.0
    q = 0.0
    for j in range(len(a)):
        s += a[j] * x[j]
        q += x[j] * x[j]
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
    recorded,
):
    """Advance some rows of all iterates, in place; a row is one method in one trial, numbered trial by trial.

    Args:
        features, squared_norms, targets: the rows a_i (n, d), their squared norms (n,), and y (n,).
        regularization: coefficient r of ||x||^2 / 2, a float.
        logistic: whether the link is logistic; otherwise it is square.
        x: the iterates, (trials, methods, d); those of the rows are overwritten.
        first, last: the rows to advance, ``last`` excluded.
        index, factor: component of each step and the factor of its gradient, (trials, steps).
        gamma, rho, lam: step size, radius and lambda of each step, (methods, steps).
        marks: the iterates are recorded after so many steps, increasing, (marks,).
        recorded: the iterates at the marks, (marks, trials, methods, d); those of the rows are written.
    """
    methods, d = x.shape[1:]
    s = np.zeros(methods)
    q = np.zeros(methods)
    alpha = np.zeros(methods)
    beta = np.zeros(methods)
    for trial in range(first // methods, (last - 1) // methods + 1):
        low, high = max(first - trial * methods, 0), min(last - trial * methods, methods)
        mark = 0
        for t in range(index.shape[1]):
            i = index[trial, t]
            a, norm, y, w = features[i], squared_norms[i], targets[i], factor[trial, t]
            shrink = w * regularization
            # Three loops over the methods instead of one: the inner products of the next method overlap with the
            # latency of this one's square root and division.
            for m in range(low, high):
                s[m], q[m] = _inner(a, x[trial, m])
            for m in range(low, high):
                p = w * _slope(logistic, s[m], y)
                size = sqrt(max(p * p * norm + 2.0 * p * shrink * s[m] + shrink * shrink * q[m], 0.0))
                e = rho[m, t] * (1.0 - lam[m, t] + lam[m, t] / (size + TINY))
                ahead = s[m] + e * (p * norm + shrink * s[m])
                alpha[m] = 1.0 - gamma[m, t] * shrink * (1.0 + e * shrink)
                beta[m] = -gamma[m, t] * (w * _slope(logistic, ahead, y) + shrink * e * p)
            for m in range(low, high):
                row, scale, push = x[trial, m], alpha[m], beta[m]
                for j in range(d):
                    row[j] = scale * row[j] + push * a[j]
            if mark < len(marks) and t + 1 == marks[mark]:
                recorded[mark, trial, low:high] = x[trial, low:high]
                mark += 1
