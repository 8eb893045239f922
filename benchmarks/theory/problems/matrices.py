"""Random matrices whose spectrum is known before they are drawn."""

import numpy as np
from numpy.typing import NDArray

from ....errors import ConfigError

Matrix = NDArray[np.float64]


def orthogonal(rows: int, columns: int, rng: np.random.Generator) -> Matrix:
    """Return a Haar-distributed matrix with orthonormal columns, (rows, columns), columns <= rows.

    The QR factors of a Gaussian matrix, with the signs that make the factorization unique (Mezzadri 2007).
    """
    q, r = np.linalg.qr(rng.standard_normal((rows, columns)))
    return q * np.sign(np.diag(r))


def with_condition(rows: int, columns: int, condition: float, rng: np.random.Generator) -> Matrix:
    r"""Return a matrix of any shape with exactly this condition number.

    Its min(rows, columns) singular values are log-uniform in :math:`[\kappa^{-1/2}, \kappa^{1/2}]`, and both ends
    are always present: if they were drawn, the condition number would be smaller than requested.

    Args:
        condition: largest over smallest singular value, at least 1.

    Example:
        >>> a = with_condition(6, 4, 100.0, np.random.default_rng(0))
        >>> round(float(np.linalg.cond(a)), 6)
        100.0

    Raises:
        ConfigError: fewer than two singular values, or a condition number below 1.
    """
    rank = min(rows, columns)
    if rank < 2 or condition < 1:
        raise ConfigError(
            f"a {rows} x {columns} matrix of condition number {condition} does not exist: "
            "give at least 2 rows and 2 columns, and a condition number of at least 1"
        )
    exponents = np.concatenate(([-0.5, 0.5], rng.uniform(-0.5, 0.5, rank - 2)))
    left, right = orthogonal(rows, rank, rng), orthogonal(columns, rank, rng)
    return (left * condition**exponents) @ right.T


def with_spectrum(eigenvalues: Matrix, rng: np.random.Generator) -> Matrix:
    """Return a symmetric matrix with exactly these eigenvalues and Haar-distributed eigenvectors.

    Example:
        >>> a = with_spectrum(np.array([1.0, 2.0, 5.0]), np.random.default_rng(0))
        >>> np.linalg.eigvalsh(a).round(6).tolist()
        [1.0, 2.0, 5.0]
    """
    q = orthogonal(len(eigenvalues), len(eigenvalues), rng)
    return (q * eigenvalues) @ q.T


def reflected(eigenvalues: Matrix, rng: np.random.Generator, reflections: int = 3) -> Matrix:
    r"""Return the symmetric matrix :math:`P^\top D P` with P a product of random Householder reflections.

    Each reflection costs O(d^2), so the spectrum is prescribed without a factorization.

    Args:
        eigenvalues: the diagonal of D.
        reflections: number of factors of P.

    References:
        Lenard and Minkoff 1984, Randomly generated test problems for positive definite quadratic programming,
        ACM Transactions on Mathematical Software 10(1).
    """
    a = np.diag(eigenvalues)
    for _ in range(reflections):
        u = rng.standard_normal(len(eigenvalues))
        u /= np.linalg.norm(u)
        a = a - 2 * np.outer(u, u @ a)
        a = a - 2 * np.outer(a @ u, u)
    return (a + a.T) / 2
