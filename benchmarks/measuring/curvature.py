"""Eigenvalues, trace and spectral density of a symmetric matrix that is known by its products alone."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError
from .objective import Product

DENSE = 32
"""Rows up to which a matrix is multiplied out: Lanczos needs more rows than vectors."""


class Estimate(NamedTuple):
    """An estimate and its standard error."""

    value: float
    standard_error: float


def top_eigenpairs(
    product: Product, start: Tensor, count: int, *, tolerance: float, iterations: int
) -> tuple[list[float], list[Tensor], int]:
    """Return the largest eigenvalues, the largest first, their vectors (P,), and the number of products it took.

    The implicitly restarted Lanczos method of ARPACK through ``scipy.sparse.linalg.eigsh``; it keeps max(2 count + 1,
    20) vectors. The sign of a vector is that which makes its product with the start positive.

    Args:
        product: the matrix.
        start: first vector (P,); its dtype is that of the products.
        count: number of eigenvalues.
        tolerance: relative accuracy at which ARPACK stops; 0 for that of the machine.
        iterations: most restarts.

    Raises:
        ConfigError: they were not enough.
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    size, used = len(start), 0

    def apply(vector: np.ndarray) -> np.ndarray:
        nonlocal used
        used += 1
        return product(torch.from_numpy(vector.ravel().copy()).to(start)).double().cpu().numpy()

    if size <= max(DENSE, 2 * count + 2):
        dense = np.stack([apply(column) for column in np.eye(size)])
        values, vectors = np.linalg.eigh((dense + dense.T) / 2)
        return *_largest(values, vectors, count, start), used
    operator = LinearOperator((size, size), matvec=apply, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    try:
        values, vectors = eigsh(  # pyright: ignore[reportAssignmentType]
            operator,
            k=count,
            which="LA",
            v0=start.double().cpu().numpy(),
            tol=tolerance,  # pyright: ignore[reportArgumentType]
            maxiter=iterations,
        )
    except ArpackNoConvergence as error:
        raise ConfigError(
            f"iterations={iterations}: {len(error.eigenvalues)} of {count} eigenvalues were found to a relative "
            f"{tolerance:g} in {used} products; allow more iterations or a larger tolerance"
        ) from error
    return *_largest(values, vectors, count, start), used


def _largest(values: np.ndarray, vectors: np.ndarray, count: int, start: Tensor) -> tuple[list[float], list[Tensor]]:
    """Return the largest of eigenvalues (n,) with their vectors, columns (P, n), in descending order."""
    order = np.argsort(values)[::-1][:count]
    columns = [torch.from_numpy(vectors[:, i].copy()).to(start) for i in order]
    return values[order].tolist(), [column if column @ start >= 0 else -column for column in columns]


def hutchinson(product: Product, like: Tensor, draws: int, random: torch.Generator) -> Estimate:
    """Estimate the trace as the mean of v^T A v over Rademacher vectors v.

    Args:
        product: the matrix.
        like: any vector (P,), for size, dtype and device.
        draws: number of vectors, two at least.
        random: stream of the draws, on the CPU.

    References:
        Hutchinson 1990.
    """
    values = []
    for _ in range(draws):
        v = rademacher(like, random)
        values.append(float(v @ product(v)))
    return mean_of(values)


def hutch_plus_plus(product: Product, like: Tensor, draws: int, random: torch.Generator) -> Estimate:
    """Estimate the trace exactly on a random subspace of the matrix's range, and by Hutchinson on what is left.

    Q spans A S for Rademacher vectors S; tr A = tr Q^T A Q + E v^T (I - QQ^T) A (I - QQ^T) v. The standard error is
    that of the second part. It keeps draws / 3 vectors.

    Args:
        product: the matrix.
        like: any vector (P,), for size, dtype and device.
        draws: number of products, a third for each of S, Q and v; six at least.
        random: stream of the draws, on the CPU.

    References:
        Meyer, Musco, Musco, Woodruff 2021, arXiv 2010.09649.
    """
    third = draws // 3
    sketch = torch.stack([product(rademacher(like, random)) for _ in range(min(third, len(like)))], 1)
    basis = torch.linalg.qr(sketch).Q
    inside = sum(float(q @ product(q)) for q in basis.T)
    values = []
    for _ in range(third):
        v = rademacher(like, random)
        v = v - basis @ (basis.T @ v)
        values.append(float(v @ product(v)))
    rest = mean_of(values)
    return Estimate(inside + rest.value, rest.standard_error)


def squared_norm(product: Product, like: Tensor, draws: int, random: torch.Generator) -> Estimate:
    """Estimate the squared Frobenius norm, tr A^2 of a symmetric A, as the mean of ||A v||^2 over Rademacher vectors v.

    Args:
        product: the matrix.
        like: any vector (P,), for size, dtype and device.
        draws: number of vectors, two at least.
        random: stream of the draws, on the CPU.
    """
    return mean_of([float(product(rademacher(like, random)).square().sum()) for _ in range(draws)])


def log_determinant_of(
    product: Product, like: Tensor, damping: float, steps: int, draws: int, random: torch.Generator
) -> Estimate:
    """Estimate log det(I + A / d), A without negative eigenvalues, by stochastic Lanczos quadrature.

    It is the trace of log(I + A / d), the mean of v^T log(I + A / d) v over Rademacher vectors v, and each of these P
    times a Gauss quadrature: sum weight * log(1 + node / d).

    Args:
        product: the matrix.
        like: any vector (P,), for size, dtype and device.
        damping: d.
        steps: Lanczos steps of a draw.
        draws: number of vectors, two at least.
        random: stream of the draws, on the CPU.

    References:
        Ubaru, Chen, Saad 2017, SIAM J. Matrix Anal. Appl. 38(4).
    """
    values = []
    for _ in range(draws):
        nodes, weights = lanczos(product, rademacher(like, random), steps)
        values.append(len(like) * float(weights @ np.log1p(np.maximum(nodes, 0) / damping)))
    return mean_of(values)


def lanczos(product: Product, start: Tensor, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Run the Lanczos method with full reorthogonalization; return nodes and weights of its Gauss quadrature.

    The nodes are the eigenvalues of the tridiagonal matrix T, the weights the squared first entries of its
    eigenvectors: they sum to 1, and sum weight * node = v^T A v for the start v of norm 1.

    Args:
        product: the matrix.
        start: first vector (P,), not zero.
        steps: rows of T at most; it keeps as many vectors.
    """
    basis = start.new_empty(min(steps, len(start)), len(start))
    v, diagonal, beside = start / start.norm(), [], []
    for number in range(len(basis)):
        basis[number] = v
        w = product(v)
        diagonal.append(float(v @ w))
        known = basis[: number + 1]
        for _ in range(2):  # twice is enough
            w = w - known.T @ (known @ w)
        norm = float(w.norm())
        if norm <= 100 * torch.finfo(w.dtype).eps * max(map(abs, diagonal)):  # the space is exhausted, up to rounding
            break
        beside.append(norm)
        v = w / norm
    rows = len(diagonal)
    t = np.diag(diagonal) + np.diag(beside[: rows - 1], 1) + np.diag(beside[: rows - 1], -1)
    nodes, vectors = np.linalg.eigh(t)
    return nodes, vectors[0] ** 2


def density(nodes: np.ndarray, weights: np.ndarray, width: float, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth nodes (n,) with weights (n,) that sum to 1 by a Gaussian of a width; return grid and density (points,).

    The grid reaches five widths beyond the outermost nodes, so that the density on it integrates to 1.
    """
    grid = np.linspace(nodes.min() - 5 * width, nodes.max() + 5 * width, points)
    bells = np.exp(-0.5 * ((grid[:, None] - nodes) / width) ** 2) / (width * math.sqrt(2 * math.pi))
    return grid, bells @ weights


def rademacher(like: Tensor, random: torch.Generator) -> Tensor:
    """Draw a vector of -1 and 1 with equal probability, of the size, dtype and device of another."""
    return (torch.randint(0, 2, like.shape, generator=random) * 2 - 1).to(like)


def gaussian(like: Tensor, random: torch.Generator) -> Tensor:
    """Draw a standard normal vector, of the size, dtype and device of another."""
    return torch.randn(like.shape, generator=random, dtype=torch.float64).to(like)


def mean_of(values: list[float]) -> Estimate:
    """Return the mean of independent draws and its standard error; that of a single draw is not known (NaN)."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Estimate(float(np.mean(values)), spread / math.sqrt(len(values)))
