"""Examples of pairs: McNemar's test as statsmodels has it, and intervals that cover over seeds and examples."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference

from sambench.results.statistics.paired_examples import compare_examples, mcnemar, seeds_and_examples


@pytest.mark.parametrize("pair", [(0, 0), (1, 9), (9, 1), (30, 31), (100, 160)])
def test_mcnemar_is_that_of_statsmodels(pair):
    expected = 1.0 if pair == (0, 0) else reference([[7, pair[0]], [pair[1], 5]], exact=True).pvalue
    assert mcnemar(*pair) == pytest.approx(expected, rel=1e-10)


def test_an_interval_over_seeds_and_examples_covers():
    """Differences of seeds, of examples and of both: an interval over seeds alone would cover far less."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(100):
        seeds, examples = rng.normal(size=(8, 1)) * 0.02, rng.normal(size=(1, 300)) * 0.4
        table = np.sign(np.round(seeds + examples + 0.4 * rng.normal(size=(8, 300)))).astype(np.int8)
        low, high = seeds_and_examples(table, rng, resamples=200)
        hits += low <= 0 <= high
    assert 90 <= hits <= 100


def test_methods_are_compared_at_their_common_seeds():
    rng = np.random.default_rng(1)
    right = {seed: rng.random(200) < 0.9 for seed in range(4)}
    better = {seed: bits | (np.arange(200) < 40) for seed, bits in right.items() if seed} | {9: right[0]}
    found = compare_examples(better, right, rng)
    assert found is not None
    gained = [int((~right[seed][:40]).sum()) for seed in (1, 2, 3)]
    assert found.estimate == pytest.approx(np.mean(gained) / 200)
    assert (found.only_first, found.only_second) == (np.mean(gained), 0)
    assert found.p == tuple(mcnemar(count, 0) for count in gained)
    assert found.low <= found.estimate <= found.high
    assert compare_examples(better, {1: right[1], 2: right[2]}, rng) is None


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_of_one_seed_is_binomial(level):
    table = (np.arange(50) < 15).astype(np.int8)[None]
    found = seeds_and_examples(table, np.random.default_rng(0), resamples=4020, level=level)
    assert found == pytest.approx(stats.binom.ppf([0.5 - level / 2, 0.5 + level / 2], 50, 0.3) / 50, abs=1.01 / 50)


@pytest.mark.parametrize(("resamples", "number"), [({}, 1000), ({"resamples": 120}, 120), ({"resamples": 7}, 7)])
def test_seeds_and_examples_are_drawn_once_a_resample(resamples, number):
    drawn = []

    class Rng:
        def integers(self, high, size):
            drawn.append(size)
            return np.zeros(size, dtype=int)

    assert seeds_and_examples(np.eye(2, 3, dtype=np.int8), Rng(), **resamples) == (1, 1)  # the first cell alone
    assert (drawn.count(2), drawn.count(3)) == (number, number)


def test_runs_that_differ_are_counted_after_holm():
    """Of three seeds: p = 2 / 2^10, 2 / 2^6 and 1; by Holm the second becomes 2 · 2 / 2^6 > 0.05."""
    worse = {seed: np.zeros(20, dtype=bool) for seed in range(3)}
    better = {seed: np.arange(20) < count for seed, count in enumerate((10, 6, 0))}
    found = compare_examples(better, worse, np.random.default_rng(0))
    assert (found.p, found.apart) == ((2 / 2**10, 2 / 2**6, 1), 1)
