"""The training, validation and test parts of a run."""

import pytest
import torch

from sambench.datasets import SPLITS, Parts, load, prepare
from sambench.datasets.splits import validation_indices
from sambench.errors import ConfigError

from .builders import make_dataset


def test_full_trains_on_everything_without_a_copy() -> None:
    dataset = make_dataset()
    parts = prepare(dataset, split="full", seed=0)
    assert parts.train_images is dataset.train_images
    assert torch.equal(parts.train_labels, dataset.train_labels)
    assert torch.equal(parts.train_ids, torch.arange(200))
    assert parts.validation is None
    assert parts.test is not None
    assert parts.test[0] is dataset.test_images


@pytest.mark.parametrize("split", ["holdout", "search"])
def test_training_and_validation_are_disjoint_and_together_everything(split: str) -> None:
    dataset = make_dataset()
    parts = prepare(dataset, split=split, seed=0)
    assert parts.validation is not None
    images = torch.cat([parts.train_images, parts.validation[0]]).flatten(1).tolist()
    assert sorted(images) == sorted(dataset.train_images.flatten(1).tolist())
    assert len(parts.validation[1]) == 20
    for position, index in enumerate(parts.train_ids.tolist()):
        assert torch.equal(parts.train_images[position], dataset.train_images[index])
        assert parts.train_labels[position] == dataset.train_labels[index]


def test_search_does_not_hand_out_the_test_set_and_holdout_does() -> None:
    dataset = make_dataset()
    assert prepare(dataset, split="search", seed=0).test is None
    assert prepare(dataset, split="holdout", seed=0).test is not None


def test_search_and_holdout_agree_and_ignore_the_seed() -> None:
    dataset = make_dataset()
    ids = [prepare(dataset, split=split, seed=seed).train_ids for split in ("search", "holdout") for seed in (0, 1)]
    assert all(torch.equal(ids[0], other) for other in ids[1:])


@pytest.mark.parametrize("split", SPLITS)
def test_thinning_and_noise_touch_the_training_part_only(split: str) -> None:
    dataset = make_dataset()
    clean = prepare(dataset, split=split, seed=0)
    parts = prepare(dataset, split=split, subset=100, imbalance=5.0, noise=0.3, seed=0)
    for before, after in ((clean.validation, parts.validation), (clean.test, parts.test)):
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            assert torch.equal(before[0], after[0])
            assert torch.equal(before[1], after[1])
    truth = dataset.train_labels[parts.train_ids]
    counts = truth.bincount(minlength=4)
    assert counts[0] / counts[3] == pytest.approx(5, rel=0.2)
    assert (counts.diff() < 0).all()
    assert int((parts.train_labels != truth).sum()) == round(0.3 * len(truth))
    assert torch.isin(parts.train_ids, clean.train_ids).all()
    assert torch.equal(parts.train_images, dataset.train_images[parts.train_ids])


def test_preparing_leaves_the_data_set_and_the_global_generator_unchanged() -> None:
    dataset = make_dataset()
    labels, state = dataset.train_labels.clone(), torch.get_rng_state()
    prepare(dataset, split="full", noise=0.5, subset=50, imbalance=2.0, seed=0)
    assert torch.equal(dataset.train_labels, labels)
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_choose_other_subsets_and_other_noise() -> None:
    dataset = make_dataset()
    one, same, other = (prepare(dataset, split="full", subset=40, noise=0.5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.train_ids, same.train_ids)
    assert torch.equal(one.train_labels, same.train_labels)
    assert not torch.equal(one.train_ids, other.train_ids)


def test_the_split_of_50000_is_45000_and_5000() -> None:
    dataset = make_dataset(50_000, shape=(1, 1, 2))
    parts = prepare(dataset, split="search", seed=0)
    assert parts.validation is not None
    assert (len(parts.train_ids), len(parts.validation[1])) == (45_000, 5_000)


def test_unknown_splits_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown split 'test'.*Valid: full, holdout, search"):
        prepare(load("digits"), split="test", seed=0)


@pytest.mark.parametrize(
    "values", [{"subset": 0}, {"subset": 10**6}, {"noise": 2.0}, {"noise_kind": "x"}, {"imbalance": 0.0}]
)
def test_values_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(ConfigError):
        prepare(make_dataset(), split="full", seed=0, **values)


@pytest.mark.parametrize("kind", ["shuffled", "random"])
def test_pixels_move_within_every_image_of_all_parts(kind: str) -> None:
    dataset = make_dataset()
    plain, moved, again = (prepare(dataset, split="holdout", pixels=one, seed=3) for one in ("given", kind, kind))
    orders = set()
    for part in ("train", "validation", "test"):
        before, after, same = (_images(one, part) for one in (plain, moved, again))
        assert torch.equal(after, same)
        assert not torch.equal(before, after)
        for old, new in zip(before.flatten(2)[:20], after.flatten(2)[:20], strict=True):
            assert sorted(old.T.tolist()) == sorted(new.T.tolist())  # the channels of a pixel stay together
            orders.add(tuple((old[:, None, :] == new[:, :, None]).all(0).int().argmax(1).tolist()))
    assert (len(orders) == 1) == (kind == "shuffled")
    assert torch.equal(moved.train_labels, plain.train_labels)


def _images(parts: Parts, part: str) -> torch.Tensor:
    found = (parts.train_images, ()) if part == "train" else getattr(parts, part)
    return found[0]


def test_random_labels_are_uniform_and_the_held_out_ones_stay() -> None:
    dataset = make_dataset()
    plain, drawn = (prepare(dataset, split="holdout", labels=one, seed=3) for one in ("given", "random"))
    counts = drawn.train_labels.bincount(minlength=4).double()
    expected = len(drawn.train_labels) / 4
    assert float((counts - expected).square().sum() / expected) < 16.3  # chi-squared, 3 degrees of freedom, p = .001
    assert float((drawn.train_labels == plain.train_labels).double().mean()) == pytest.approx(0.25, abs=0.12)
    assert drawn.validation is not None
    assert plain.validation is not None
    assert torch.equal(drawn.validation[1], plain.validation[1])
    assert torch.equal(drawn.train_images, plain.train_images)


@pytest.mark.parametrize("option", [{"labels": "wrong"}, {"pixels": "wrong"}])
def test_unknown_kinds_are_refused(option: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="wrong"):
        prepare(make_dataset(), split="full", seed=0, **option)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "fields",
    [{"subset": 80}, {"imbalance": 4.0}, {"subset": 80, "noise": 0.4}, {"subset": 80, "pixels": "random"}],
    ids=str,
)
def test_twins_differ_in_one_example_that_the_other_leaves_out(split: str, fields: dict) -> None:
    dataset = make_dataset()
    for seed, at in ((0, 0), (1, 7)):
        one = prepare(dataset, split=split, seed=seed, **fields)
        twin = prepare(dataset, split=split, seed=seed, replace_example=at, **fields)
        rest = torch.arange(len(one.train_ids)) != at
        for name in ("train_images", "train_labels", "train_ids"):
            assert torch.equal(getattr(one, name)[rest], getattr(twin, name)[rest])
        other = int(twin.train_ids[at])
        assert other not in one.train_ids
        if "pixels" not in fields:
            assert torch.equal(twin.train_images[at], dataset.train_images[other])
        if split != "full":
            assert not torch.isin(twin.train_ids, validation_indices(200)).any()
    elsewhere = prepare(dataset, split=split, seed=1, replace_example=3, **fields)
    assert elsewhere.train_ids[3] == other, "the same one for every place"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"subset": 80, "replace_example": 80}, "replace_example=80 is not in 0..79"),
        ({"replace_example": 3}, "trains on all 200 samples that there are; leave some out, such as by subset=199"),
    ],
)
def test_an_example_that_cannot_be_replaced_is_refused(fields: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        prepare(make_dataset(), split="full", seed=0, **fields)
