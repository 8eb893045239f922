"""Tie groups: the decisions are scipy's, the letters encode exactly these, equal methods share a group."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from sambench.errors import ConfigError
from sambench.results.statistics.intervals import detectable_difference
from sambench.results.statistics.multiple_comparisons import (
    Bools,
    _bartlett,
    _summarize,
    compact_letters,
    detectable_in_groups,
    different,
    games_howell,
    tukey,
)


def table(seed: int, sizes: tuple[int, ...], spread: float) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(rng.normal(), rng.uniform(0.3, 0.3 + spread), size) for size in sizes]


def assert_decides(test: Callable[..., Bools], groups: list[np.ndarray], p: np.ndarray) -> None:
    """A test decides as its p-values do, also where alpha is just above or below one of them."""
    assert test(groups).tolist() == (p < 0.05).tolist()
    edge = p[p < 0.5].max(initial=0.1)
    for alpha in (0.2, edge * (1 - 1e-4), edge * (1 + 1e-4)):
        assert test(groups, alpha).tolist() == (p < alpha).tolist()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("sizes", [(3, 3), (5, 5, 5, 5), (2, 10, 4), (3,) * 6])
def test_tukey_is_scipys(seed: int, sizes: tuple[int, ...]) -> None:
    groups = table(seed, sizes, 0.0)
    expected = stats.tukey_hsd(*groups).pvalue
    assert_decides(tukey, groups, expected)
    assert tukey(groups, 0.9).tolist() == (expected < 0.9).tolist()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("sizes", [(3, 3), (5, 5, 5, 5), (3, 10, 4), (4,) * 5])
def test_games_howell_is_scipys(seed: int, sizes: tuple[int, ...]) -> None:
    groups = table(seed, sizes, 1.0)
    expected = stats.tukey_hsd(*groups, equal_var=False).pvalue
    assert_decides(games_howell, groups, expected)


@pytest.mark.parametrize("sizes", [(3, 3), (2, 10, 4), (5,) * 8])
def test_the_doubt_about_variances_is_bartletts(sizes: tuple[int, ...]) -> None:
    groups = table(1, sizes, 1.0)
    assert _bartlett(_summarize(groups, 0.0)) == pytest.approx(stats.bartlett(*groups).pvalue, rel=1e-9)
    alike = [group / group.std(ddof=1) * (1 + 0.02 * i) for i, group in enumerate(groups)]
    assert _bartlett(_summarize(alike, 0.0)) == pytest.approx(stats.bartlett(*alike).pvalue, rel=1e-9)


@pytest.mark.parametrize(("spread", "low", "high"), [(1.1, 0.2, 1.0), (8.0, 0.001, 0.2), (60.0, 0.0, 0.001)])
def test_who_decides_follows_from_the_doubt(spread: float, low: float, high: float) -> None:
    """Tukey where variances look equal, Games and Howell where they clearly differ, both where they may."""
    rng, seen = np.random.default_rng(0), set()
    for _ in range(80):
        wide = rng.integers(3)
        groups = [rng.normal(rng.normal(), spread if i == wide else 1, 4) * 0.4 + i for i in range(3)]
        if not low <= stats.bartlett(*groups).pvalue < high:
            continue
        pooled, own = tukey(groups), games_howell(groups)
        expected = pooled if low == 0.2 else own if low == 0.0 else pooled & own
        assert different(groups).tolist() == expected.tolist()
        seen |= {*zip(pooled.ravel().tolist(), own.ravel().tolist(), strict=True)}
    assert seen == {(False, False), (True, True), (True, False), (False, True)}


def split_share(deviations: np.ndarray, n: int, tables: int) -> float:
    values = np.random.default_rng(n).normal(size=(tables, len(deviations), n)) * deviations[:, None]
    return float(np.mean([different(list(groups)).any() for groups in values]))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_ten_equal_methods_stay_together(n: int) -> None:
    assert split_share(np.ones(10), n, 1000) <= 0.06


def test_ten_methods_of_unequal_variance_stay_together() -> None:
    assert split_share(np.repeat([1.0, 2.0], 5), 5, 600) <= 0.08


def test_methods_that_differ_have_no_common_letter() -> None:
    rng = np.random.default_rng(0)
    found = [different([rng.normal(0, 1, 5), rng.normal(0, 1, 5), rng.normal(4, 1, 5)])[0, 2] for _ in range(200)]
    assert np.mean(found) > 0.95


def test_a_diverged_run_of_one_method_does_not_blur_the_others() -> None:
    rng = np.random.default_rng(0)
    good, worse = rng.normal(0.95, 0.001, 5), rng.normal(0.93, 0.001, 5)
    diverging = np.append(rng.normal(0.95, 0.001, 4), 0.1)
    differ = different([good, worse, diverging])
    assert differ[0, 1]
    assert not differ[0, 2]
    assert not tukey([good, worse, diverging]).any()  # which is why Tukey does not decide here


def test_rounding_is_no_proof_of_precision() -> None:
    groups = [[0.950, 0.950, 0.950], [0.9525, 0.9525, 0.9525], [0.95, 0.9525, 0.955]]
    assert different(groups)[0, 1]
    assert not different(groups, resolution=0.0025).any()
    assert _summarize([[1, 1], [0, 2]], 0.6).variances == pytest.approx([0.6**2 / 12, 2])


def test_samples_without_spread() -> None:
    assert different([[1, 1], [1, 1]]).tolist() == [[False, False], [False, False]]
    assert different([[1, 1], [2, 2]]).tolist() == [[False, True], [True, False]]
    some = [[1, 1, 1], [2, 2, 2], [0, 2, 9]]  # the variances differ for certain: each has its own
    assert different(some).tolist() == games_howell(some).tolist() != tukey(some).tolist()


def test_one_method_is_no_comparison() -> None:
    assert different([[1.0, 2.0]]).tolist() == [[False]]
    assert different([]).shape == (0, 0)
    with pytest.raises(ConfigError, match="at least 2 methods, got 1"):
        tukey([[1.0, 2.0]])
    with pytest.raises(ConfigError, match="at least 2 finite values"):
        different([[1.0], [1.0, 2.0]])


def random_decisions(seed: int) -> tuple[Bools, np.ndarray]:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 13))
    upper = np.triu(rng.random((k, k)) < rng.random(), 1)
    return upper | upper.T, rng.permutation(k)


@pytest.mark.parametrize("seed", range(60))
def test_a_shared_letter_means_a_tie_and_nothing_else(seed: int) -> None:
    differ, order = random_decisions(seed)
    letters = [set(text) for text in compact_letters(differ, order)]
    assert all(letters)
    for i in range(len(letters)):
        for j in range(len(letters)):
            assert bool(letters[i] & letters[j]) == (not differ[i, j])
    methods = {letter: {i for i, text in enumerate(letters) if letter in text} for letter in set.union(*letters)}
    for letter, group in methods.items():  # no letter is redundant
        assert not any(group <= other for name, other in methods.items() if name != letter)
    assert "a" in letters[order[0]]


def test_letters_follow_the_order() -> None:
    differ = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=bool)
    assert compact_letters(differ, [2, 0, 1]) == ["b", "c", "a"]
    assert compact_letters(np.zeros((3, 3)), [2, 0, 1]) == ["a", "a", "a"]
    assert compact_letters(np.zeros((0, 0)), []) == []


def test_more_than_52_groups() -> None:
    letters = compact_letters(~np.eye(54, dtype=bool), np.arange(54))
    assert letters[25:28] == ["z", "A", "B"]
    assert letters[51:] == ["Z", "(53)", "(54)"]


def test_the_detectable_difference_of_groups_is_found_as_often_as_it_says() -> None:
    k, n = 6, 4
    rng = np.random.default_rng(0)
    shift = np.zeros((k, 1))
    shift[0] = detectable_in_groups(n, k)
    found = [tukey(list(rng.normal(shift, 1, (k, n))))[0, 1] for _ in range(2500)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_the_groups_of_two_methods_are_one_comparison() -> None:
    assert detectable_in_groups(5, 2) == pytest.approx(detectable_difference(5), rel=1e-9)
