"""Samplings that use one block of a fixed partition a step."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ....errors import ConfigError
from ..problems import Problem
from .base import Floats, Integers, Numpy, Residual, Sampling


class Partition(Sampling):
    r"""One block of a fixed partition, block j with probability q_j: :math:`v_i = 1 / q_j` for i in block j.

    With :math:`\ell_j = \frac1n \sum_{i \in C_j} L_i`, :math:`A = \max_j \ell_j / q_j`, B = 0.

    Args:
        name: name in figures and tables.
        blocks: components of each block; every component is in exactly one block.
        probabilities: probability q_j > 0 of each block, normalized here; equal if ``None``.

    Raises:
        ConfigError: blocks that are not a partition, or a probability that is not positive.
    """

    def __init__(self, name: str, blocks: list[list[int]], probabilities: ArrayLike | None = None):
        every = sorted(i for block in blocks for i in block)
        q = np.ones(len(blocks)) if probabilities is None else np.asarray(probabilities, dtype=np.float64)
        if every != list(range(len(every))) or len(q) != len(blocks) or not (q > 0).all():
            raise ConfigError(
                f"sampling {name!r}: give blocks that hold each of 0..n-1 exactly once, and one probability > 0 a block"
            )
        super().__init__(name, len(every), max(map(len, blocks)))
        self.blocks = blocks
        self.q = q / q.sum()
        # Shorter blocks are filled up with component 0 at factor 0, so that every draw has the same width.
        self.components = np.zeros((len(blocks), self.width), dtype=np.int64)
        self.factor = np.zeros((len(blocks), self.width))
        for j, block in enumerate(blocks):
            self.components[j, : len(block)] = block
            self.factor[j, : len(block)] = 1 / (self.n * self.q[j])

    def draw(self, rng: Numpy, steps: int) -> tuple[Integers, Floats]:
        cumulative = self.q.cumsum()
        block = np.searchsorted(cumulative / cumulative[-1], rng.random(steps), side="right")
        return self.components[block], self.factor[block]

    def support(self) -> Iterator[tuple[float, Floats]]:
        for probability, block in zip(self.q, self.blocks, strict=True):
            v = np.zeros(self.n)
            v[block] = 1 / probability
            yield float(probability), v

    def second_moment(self, gradients: Tensor) -> Tensor:
        each = [
            gradients[..., block, :].sum(-2).square().sum(-1) / (self.n**2 * float(probability))
            for probability, block in zip(self.q, self.blocks, strict=True)
        ]
        return torch.stack(each).sum(0)

    def residual(self, problem: Problem) -> Residual:
        a = self.smoothness(problem)
        return Residual(a, 0.0, 2 * a * problem.interpolation_gap)

    def smoothness(self, problem: Problem) -> float:
        sums = [float(problem.L_i[block].sum()) / self.n for block in self.blocks]
        return max(total / float(q) for total, q in zip(sums, self.q, strict=True))
