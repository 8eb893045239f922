"""Two methods compared example by example, from which test examples each of their runs gets right.

The t-interval over seeds takes the test set as given. Here examples are a sample, too: of two runs by McNemar's test,
of two methods by resampling seeds and examples. Pure functions.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from .intervals import holm
from .pairs import LEAST_RUNS

Bits = NDArray[np.bool_]
_CHUNK = 50
"""Resamples at a time: they bound the memory."""


class PairedExamples(NamedTuple):
    """What the examples say of two methods, first less second.

    Attributes:
        estimate: difference of the mean accuracies over the common seeds.
        low: lower end of its 95 % interval over seeds and examples.
        high: upper end.
        only_first: number of examples that the first alone gets right, mean over seeds.
        only_second: number that the second alone gets right.
        p: of McNemar's test of the two runs of each seed, by seed.
        apart: number of seeds whose runs differ at 5 %, adjusted over the seeds by Holm.
    """

    estimate: float
    low: float
    high: float
    only_first: float
    only_second: float
    p: tuple[float, ...]
    apart: int


def mcnemar(only_first: int, only_second: int) -> float:
    """Test whether two classifiers have the same error on the population that the examples are a sample of.

    Of examples that one alone gets right, each is the right one with probability 1/2: p = 2 P(X <= min), at most 1, for
    X binomial. It is exact.

    Args:
        only_first: number of examples that the first alone gets right.
        only_second: number that the second alone gets right.

    References:
        McNemar 1947.

    Example:
        >>> mcnemar(1, 9)
        0.021484375
    """
    return min(1.0, 2 * float(special.bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def seeds_and_examples(
    differences: NDArray[np.int8], rng: np.random.Generator, *, resamples: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile interval of the mean of a table, its rows and its columns resampled independently.

    It is not too narrow: the variance over resamples exceeds that of the mean by about the part of single cells.

    Args:
        differences: (seeds, examples).
        rng: generator of the resampling.
        resamples: number of bootstrap samples.
        level: nominal coverage of the interval.

    References:
        Owen 2007, arXiv 0712.1111 (the pigeonhole bootstrap).
    """
    seeds, examples = differences.shape
    table, means = differences.astype(np.float64), list[np.ndarray]()
    for first in range(0, resamples, _CHUNK):
        count = min(_CHUNK, resamples - first)
        rows = np.stack([np.bincount(rng.integers(seeds, size=seeds), minlength=seeds) for _ in range(count)])
        columns = [np.bincount(rng.integers(examples, size=examples), minlength=examples) for _ in range(count)]
        means.append(((rows @ table) * np.stack(columns)).sum(axis=1) / (seeds * examples))
    low, high = np.quantile(np.concatenate(means), [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def compare_examples(
    first: Mapping[int, Bits], second: Mapping[int, Bits], rng: np.random.Generator
) -> PairedExamples | None:
    """Compare two methods at their common seeds.

    Args:
        first: seed -> which examples a run of the one gets right, (examples,); the same examples for all.
        second: the same of the other.
        rng: generator of the resampling.

    Returns:
        The comparison; None for fewer than three common seeds.
    """
    common = sorted(first.keys() & second.keys())
    if len(common) < LEAST_RUNS:
        return None
    table = np.stack([first[seed].astype(np.int8) - second[seed].astype(np.int8) for seed in common])
    counts = [(int((row > 0).sum()), int((row < 0).sum())) for row in table]
    p = [mcnemar(*pair) for pair in counts]
    ones, others = np.mean(counts, axis=0)
    return PairedExamples(
        float(table.mean()),
        *seeds_and_examples(table, rng),
        float(ones),
        float(others),
        tuple(p),
        int((holm(p) < 0.05).sum()),
    )
