"""Examples of pairs: McNemar's test as statsmodels has it, and intervals that cover over seeds and examples."""

import numpy as np
import pytest
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
