"""Label noise: exact shares, never the same class, the right mistakes."""

import pytest
import torch
from scipy import stats

from sambench.datasets.cifar100_superclasses import CIFAR100_SUPERCLASSES
from sambench.datasets.label_noise import NOISE_KINDS, corrupt, mistaken_for
from sambench.errors import ConfigError

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100 = tuple(sorted(name for names in CIFAR100_SUPERCLASSES.values() for name in names))
LABELS = torch.arange(5000) % 10


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.4321, 1.0])
@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_exactly_the_share_changes_and_never_to_the_same_class(share: float, kind: str) -> None:
    classes = tuple("abcdefghij")
    noisy = corrupt(LABELS, share, kind, classes, seed=0)
    assert int((noisy != LABELS).sum()) == round(share * len(LABELS))
    assert noisy.min() >= 0
    assert noisy.max() <= 9


def test_symmetric_noise_is_uniform_over_the_other_classes() -> None:
    labels = torch.arange(90_000) % 10
    noisy = corrupt(labels, 1.0, "symmetric", tuple("abcdefghij"), seed=0)
    for truth in range(10):
        counts = noisy[labels == truth].bincount(minlength=10)
        assert counts[truth] == 0
        others = counts[torch.arange(10) != truth]
        assert stats.chisquare(others.numpy()).pvalue > 1e-4


def test_symmetric_noise_reaches_all_classes_alike() -> None:
    noisy = corrupt(LABELS, 0.4, "symmetric", tuple("abcdefghij"), seed=0)
    changed = LABELS[noisy != LABELS].bincount(minlength=10)
    assert stats.chisquare(changed.numpy()).pvalue > 1e-4


def test_cifar10_mistakes_are_the_usual_ones_whatever_the_order_of_the_classes() -> None:
    expected = {"truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat"}
    for classes in (CIFAR10, CIFAR10[::-1]):
        target = mistaken_for(classes)
        found = {name: classes[target[index]] for index, name in enumerate(classes) if target[index] != index}
        assert found == expected


def test_asymmetric_noise_counts_the_classes_it_can_move() -> None:
    noisy = corrupt(LABELS, 0.4, "asymmetric", CIFAR10, seed=0)
    movable = torch.isin(LABELS, torch.tensor([2, 3, 4, 5, 9]))
    assert int((noisy != LABELS)[movable].sum()) == round(0.4 * int(movable.sum()))
    assert torch.equal(noisy[~movable], LABELS[~movable])
    assert torch.equal(corrupt(LABELS, 1.0, "asymmetric", CIFAR10, seed=0), mistaken_for(CIFAR10)[LABELS])


def test_cifar100_mistakes_stay_in_the_superclass() -> None:
    home = {name: group for group, names in CIFAR100_SUPERCLASSES.items() for name in names}
    assert len(home) == 100
    target = mistaken_for(CIFAR100)
    assert torch.equal(target.sort().values, torch.arange(100))
    for index, name in enumerate(CIFAR100):
        successor = CIFAR100[target[index]]
        assert successor != name
        assert home[successor] == home[name]
    # Five steps lead back: each superclass is one cycle.
    reached = torch.arange(100)
    for _ in range(5):
        reached = target[reached]
    assert torch.equal(reached, torch.arange(100))


def test_other_data_sets_take_the_next_class() -> None:
    assert mistaken_for(("x", "y", "z")).tolist() == [1, 2, 0]
    # One name more or less is another data set.
    assert mistaken_for((*CIFAR10, "other")).tolist() == [*range(1, 11), 0]


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_noise_is_seeded_nested_and_leaves_its_input_unchanged(kind: str) -> None:
    labels = LABELS.clone()
    classes = tuple("abcdefghij")
    little, much = (corrupt(labels, share, kind, classes, seed=1) for share in (0.1, 0.6))
    assert torch.equal(labels, LABELS)
    assert torch.equal(little, corrupt(labels, 0.1, kind, classes, seed=1))
    assert not torch.equal(little, corrupt(labels, 0.1, kind, classes, seed=2))
    changed = little != labels
    assert torch.equal(much[changed], little[changed])


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_outside_the_unit_interval_are_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"is not a share of labels in \[0, 1\]"):
        corrupt(LABELS, share, "symmetric", CIFAR10, seed=0)


def test_unknown_kinds_are_refused_even_without_noise() -> None:
    with pytest.raises(ConfigError, match="unknown label noise 'symetric'; did you mean 'symmetric'"):
        corrupt(LABELS, 0.0, "symetric", CIFAR10, seed=0)


def test_noise_on_a_single_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least two classes"):
        corrupt(torch.zeros(5, dtype=torch.int64), 0.5, "symmetric", ("only",), seed=0)
