"""Verdicts: their rule, how often they are wrong, and what n would decide."""

import numpy as np
import pytest

from sambench.results.statistics.verdicts import equals, exceeds, most

TIMES = 1000


@pytest.mark.parametrize("n", [3, 10])
@pytest.mark.parametrize("truth", [0.4, 0.5, 0.6])
def test_a_wrong_verdict_is_as_rare_as_stated(n: int, truth: float) -> None:
    """The margin is .5; at the margin itself both verdicts are errors, 2.5 % each."""
    rng = np.random.default_rng([n, int(10 * truth) + 100])
    found = [exceeds(rng.normal(truth, 1, n), 0.5).outcome for _ in range(TIMES)]
    wrong = found.count("supported") * (truth <= 0.5) + found.count("contradicted") * (truth >= 0.5)
    assert wrong / TIMES <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / TIMES)


@pytest.mark.parametrize("truth", [0.5, 0.6, -0.5])
def test_equality_is_as_rarely_wrong(truth: float) -> None:
    rng = np.random.default_rng(int(10 * truth) + 100)
    found = [equals(rng.normal(truth, 0.5, 10), 0.5).outcome for _ in range(TIMES)]
    wrong = found.count("supported") * (abs(truth) >= 0.5) + found.count("contradicted") * (abs(truth) <= 0.5)
    assert wrong / TIMES <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / TIMES)


def test_majorities_of_cases_at_their_own_level_are_as_rarely_wrong() -> None:
    """Half of six cases are true: neither verdict on their majority may come out often."""
    rng, wrong = np.random.default_rng(7), 0
    for _ in range(TIMES):
        values = rng.normal([[0.0]] * 3 + [[1.0]] * 3, 1, (6, 10))
        wrong += most([exceeds(one, 0, level=1 - 0.05 / 6).outcome for one in values]) == "supported"
    assert wrong / (TIMES) <= 0.05


def test_more_seeds_decide_what_is_undecided() -> None:
    rng = np.random.default_rng(3)
    verdict = exceeds(rng.normal(0.3, 1, 10), 0)
    assert verdict.outcome == "undecided"
    assert verdict.needed is not None
    assert 10 < verdict.needed < 2000
    assert exceeds([0.5, 0.6], 0.55).needed is None


def test_no_cases_decide_nothing() -> None:
    assert most([]) == "undecided"
