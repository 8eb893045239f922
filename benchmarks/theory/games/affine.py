r"""Finite sums of affine operators, which quadratic games have, with every constant that the theorems need.

A game :math:`\min_x \max_y \frac1n \sum_i f_i(x, y)` with quadratic f_i has the field
:math:`F(z) = \frac1n \sum_i F_i(z)`, :math:`F_i = (\nabla_x f_i, -\nabla_y f_i) = M_i z + b_i`, whose zero z* solves a
linear system. A sampling turns it into the unbiased :math:`g(z) = V z + c`, with :math:`V = \frac1n \sum_i v_i M_i`.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..bounds import Recursion
from ..methods import Stream, sample_stream
from ..sampling import Floats, Integers, Sampling


class AffineGame:
    """A finite sum of affine operators.

    Args:
        name: name in figures and tables.
        matrices: M_i, (n, d, d), with a positive semi-definite symmetric part.
        offsets: b_i, (n, d).
        z0: start of the methods, (d,).
    """

    def __init__(self, name: str, matrices: Floats, offsets: Floats, z0: Floats):
        self.name, self.matrices, self.offsets, self.z0 = name, matrices, offsets, z0
        self.n = len(matrices)
        self.L_i = torch.from_numpy(np.linalg.norm(matrices, 2, axis=(1, 2)))
        self.matrix = matrices.mean(0)
        self.solution = np.linalg.solve(self.matrix, -offsets.mean(0))

    @cached_property
    def mu(self) -> float:
        """Strong monotonicity: the least eigenvalue of the symmetric part of M; 0 for bilinear games."""
        return max(float(least_symmetric(self.matrix)), 0.0)

    @cached_property
    def L(self) -> float:
        """Lipschitz constant of F: the largest singular value of M."""
        return float(np.linalg.norm(self.matrix, 2))

    @cached_property
    def kappa(self) -> float:
        """The least singular value of M: ``||F(z)|| >= kappa ||z - z*||``."""
        return float(np.linalg.norm(self.matrix, -2))


def least_symmetric(matrices: Floats) -> Floats:
    """Return the least eigenvalue of the symmetric part of each matrix, (..., d, d) to (...)."""
    return np.linalg.eigvalsh((matrices + np.swapaxes(matrices, -1, -2)) / 2)[..., 0].astype(np.float64)


def mean_square(sampling: Sampling, matrices: Floats) -> Floats:
    """Return the matrix Q with ``u^T Q u = E||V u||^2``, by polarization of the sampling's closed second moment.

    Args:
        sampling: distribution of v.
        matrices: M_i, (n, d, d).
    """
    sums = torch.from_numpy(np.moveaxis(matrices[:, :, :, None] + matrices[:, :, None, :], (2, 3), (0, 1)).copy())
    both = sampling.second_moment(sums).numpy()  # E||V (e_a + e_b)||^2, (d, d)
    own = np.diag(both) / 4
    return (both - own[:, None] - own[None]) / 2


def largest_ratio(above: Floats, below: Floats) -> float:
    """Return the least c with ``u^T above u <= c u^T below u`` for all u; ``below`` is positive definite."""
    root = np.linalg.inv(np.linalg.cholesky(below))
    return float(np.linalg.eigvalsh(root @ above @ root.T)[-1])


class Draws(NamedTuple):
    """Every outcome of a sampling of a game: probabilities (K,), matrices V (K, d, d) and offsets c (K, d)."""

    probability: Floats
    matrix: Floats
    offset: Floats

    @classmethod
    def of(cls, game: AffineGame, sampling: Sampling) -> "Draws":
        p, v = zip(*sampling.support(), strict=True)
        weight = np.stack(v) / game.n
        return cls(np.array(p), np.tensordot(weight, game.matrices, 1), weight @ game.offsets)

    def __call__(self, z: Floats) -> Floats:
        """Return g(z) of every outcome, (K, d)."""
        return self.matrix @ z + self.offset

    def noise(self, z: Floats) -> float:
        """Return ``E||g(z)||^2``; at the solution this is the noise that is left, sigma squared."""
        return float(self.probability @ np.square(self(z)).sum(-1))


class Draw(NamedTuple):
    """One draw for every trial: matrices (trials, d, d) and offsets (trials, d)."""

    matrix: Floats
    offset: Floats

    def __call__(self, z: Floats) -> Floats:
        return (self.matrix @ z[..., None])[..., 0] + self.offset


Field = Callable[[], Draw]
"""Function that draws the stochastic operator anew."""
Advance = Callable[[Floats], Floats]
"""Function from the iterates of all trials to the next ones, (trials, d)."""
Start = Callable[[Field, float], Advance]
"""A method: from a field and a step size to its steps, which may remember."""


class Method(NamedTuple):
    """A method for games.

    Args:
        start: its steps.
        step_size: step size from the constants of a game and a sampling, by its theorem.
        guarantee: recursion of ``E||z - z*||^2`` at a step size; NaN where the theorem does not cover it.
        head: factor of the start in the guarantee.
    """

    start: Start
    step_size: Callable[[AffineGame, Sampling], float]
    guarantee: Callable[[AffineGame, Sampling, float], Recursion]
    head: float = 1.0


def recursion_of(factor: float, noise: float, valid: bool) -> Recursion:
    """Return the recursion with one factor and one noise; NaN unless it is valid and contracts."""
    held = valid and factor < 1
    return Recursion(np.array([factor if held else np.nan]), np.array([noise if held else np.nan]))


def stacked(streams: Sequence[Stream], steps: int) -> tuple[Integers, Floats]:
    """Return components and factors of the next steps of all trials, (steps, trials, width) each."""
    pairs = [stream(steps) for stream in streams]
    return np.stack([index for index, _ in pairs], 1), np.stack([factor for _, factor in pairs], 1)


def draws_of(game: AffineGame, sampling: Sampling, trials: int, seed: int, block: int = 1_000) -> Field:
    """Return the field of a game; its samples depend on trial and seed only."""
    streams = [sample_stream(sampling, seed, trial) for trial in range(trials)]

    def generate():
        while True:
            index, factor = stacked(streams, block)
            yield from zip(
                np.einsum("btw,btwij->btij", factor, game.matrices[index]),
                np.einsum("btw,btwi->bti", factor, game.offsets[index]),
                strict=True,
            )

    stream = generate()
    return lambda: Draw(*next(stream))


def play(
    game: AffineGame,
    sampling: Sampling,
    method: Method,
    gamma: float,
    record: NDArray[np.int64],
    trials: int,
    seed: int,
) -> Floats:
    """Run a method and return ``||z - z*||^2`` at the recorded steps, (trials, R)."""
    advance = method.start(draws_of(game, sampling, trials, seed), gamma)
    z, out, done = np.tile(game.z0, (trials, 1)), [], 0
    with np.errstate(over="ignore", invalid="ignore"):  # what diverges ends at infinity
        for target in record:
            for _ in range(int(target) - done):
                z = advance(z)
            done = int(target)
            out.append(np.square(z - game.solution).sum(-1))
    return np.stack(out, -1)
