"""The pinned validation split, balanced subsets and long tails."""

import hashlib
from importlib import resources

import pytest
import torch

from sambench.datasets import splits
from sambench.datasets.splits import balanced_subset, long_tail, long_tail_counts, ranked, validation_indices
from sambench.errors import ConfigError, DataError


def test_the_pinned_split_is_the_rule_at_50000() -> None:
    by_rule = sorted(range(50_000), key=lambda index: hashlib.sha256(str(index).encode()).hexdigest())[:5_000]
    assert validation_indices(50_000).tolist() == sorted(by_rule)


def test_a_changed_pinned_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "PINNED_SHA256", "0" * 64)
    with pytest.raises(DataError, match="reinstall sambench"):
        validation_indices(50_000)


def test_the_pinned_file_is_text_one_sorted_index_a_line() -> None:
    lines = resources.files("sambench.datasets").joinpath(splits.PINNED_FILE).read_text().splitlines()
    assert len(lines) == 5_000
    assert [int(line) for line in lines] == sorted({int(line) for line in lines})


@pytest.mark.parametrize("count", [10, 11, 99, 1438, 60_000])
def test_other_sizes_follow_the_rule(count: int) -> None:
    chosen = validation_indices(count)
    assert len(chosen) == count // 10
    assert torch.equal(chosen, ranked(count)[: count // 10].sort().values)
    assert torch.equal(chosen, chosen.unique())


def test_too_few_examples_for_a_tenth() -> None:
    with pytest.raises(ConfigError, match="at least 10 training examples, got 9; use split='full'"):
        validation_indices(9)


def test_ranked_is_a_permutation_that_keeps_its_order_in_longer_ones() -> None:
    longer = ranked(1000)
    assert torch.equal(longer.sort().values, torch.arange(1000))
    assert torch.equal(longer[longer < 300], ranked(300))
    # A shuffle, not a sort: the rank correlation with the index is within 3 standard errors of zero.
    assert abs(torch.corrcoef(torch.stack([longer.double(), torch.arange(1000.0).double()]))[0, 1]) < 3 / 1000**0.5


LABELS = torch.tensor([0] * 50 + [1] * 30 + [2] * 5 + [3] * 15)[
    torch.randperm(100, generator=torch.Generator().manual_seed(0))
]


@pytest.mark.parametrize(
    ("count", "sizes"), [(20, [5, 5, 5, 5]), (40, [12, 12, 5, 12]), (80, [30, 30, 5, 15]), (100, [50, 30, 5, 15])]
)
def test_subsets_are_as_balanced_as_the_classes_allow(count: int, sizes: list[int]) -> None:
    chosen = balanced_subset(LABELS, count, 4, seed=3)
    found = LABELS[chosen].bincount(minlength=4).tolist()
    assert len(chosen) == count
    assert torch.equal(chosen, chosen.unique())
    assert sum(abs(a - b) for a, b in zip(found, sizes, strict=True)) <= (1 if count == 40 else 0)


def test_subsets_are_seeded_and_nested() -> None:
    small, large = balanced_subset(LABELS, 17, 4, seed=1), balanced_subset(LABELS, 61, 4, seed=1)
    assert torch.isin(small, large).all()
    assert torch.equal(small, balanced_subset(LABELS, 17, 4, seed=1))
    assert not torch.equal(small, balanced_subset(LABELS, 17, 4, seed=2))


def test_leftover_examples_do_not_always_come_from_the_first_class() -> None:
    labels = torch.arange(40) % 4
    favored = {int(labels[balanced_subset(labels, 1, 4, seed)]) for seed in range(40)}
    assert favored == {0, 1, 2, 3}


@pytest.mark.parametrize("count", [0, -1, 101, True, 2.0])
def test_impossible_subsets_are_refused(count) -> None:
    with pytest.raises(ConfigError, match=r"is not in 1\.\.100"):
        balanced_subset(LABELS, count, 4, seed=0)


@pytest.mark.parametrize(
    ("classes", "each", "ratio", "total"),
    [
        # The sizes that long-tailed CIFAR has in the literature, e.g. Cao et al., NeurIPS 2019.
        (10, 5000, 100.0, 12_406),
        (10, 5000, 10.0, 20_431),
        (100, 500, 100.0, 10_847),
        (100, 500, 10.0, 19_573),
    ],
)
def test_long_tails_have_the_published_sizes(classes: int, each: int, ratio: float, total: int) -> None:
    counts = long_tail_counts(torch.full((classes,), each), ratio)
    assert int(counts.sum()) == total
    assert counts[0] == each
    assert counts[-1] == each / ratio


def test_long_tail_of_unbalanced_classes_keeps_its_ratio() -> None:
    available = torch.tensor([900, 1000, 800, 150])
    counts = long_tail_counts(available, 8.0)
    assert (counts <= available).all()
    assert counts.tolist() == [900, 450, 225, 112]
    assert torch.equal(long_tail_counts(torch.tensor([900, 100, 800, 900]), 8.0), torch.tensor([200, 100, 50, 25]))


def test_long_tail_thins_each_class_to_its_count() -> None:
    labels = (torch.arange(4000) * 7) % 4
    chosen = long_tail(labels, 10.0, 4, seed=5)
    assert torch.equal(labels[chosen].bincount(), long_tail_counts(torch.full((4,), 1000), 10.0))
    assert torch.equal(chosen, chosen.unique())
    steeper = long_tail(labels, 100.0, 4, seed=5)
    assert torch.isin(steeper, chosen).all()
    assert not torch.equal(chosen, long_tail(labels, 10.0, 4, seed=6))


@pytest.mark.parametrize(
    ("ratio", "message"),
    [
        (0.5, "imbalance=0.5 is not a finite ratio of at least 1"),
        (float("inf"), "imbalance=inf is not"),
        (float("nan"), "imbalance=nan is not"),
        (
            101.0,
            "leaves class 3 without an example; with 100 examples in the largest class the ratio can be at most 100",
        ),
    ],
)
def test_impossible_imbalance_is_refused(ratio: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        long_tail_counts(torch.full((4,), 100), ratio)


def test_a_single_class_has_no_imbalance() -> None:
    with pytest.raises(ConfigError, match="at least two classes"):
        long_tail_counts(torch.tensor([100]), 2.0)
