"""The frozen data set: fingerprint, channel statistics, and refused values."""

import numpy as np
import pytest
import torch

from sambench.datasets.dataset import build, channel_statistics
from sambench.errors import DataError

from .builders import make_dataset, pixels


def parts(count: int = 30) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    train = (torch.from_numpy(pixels(count, (3, 4, 5))), torch.arange(count) % 3)
    test = (torch.from_numpy(pixels(9, (3, 4, 5), 1)), torch.arange(9) % 3)
    return train, test


def test_statistics_are_those_of_all_training_pixels() -> None:
    images = torch.from_numpy(pixels(5000, (3, 7, 5)) // np.array([1, 2, 3], np.uint8)[:, None, None])
    mean, std = channel_statistics(images)
    scaled = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std(axis=(0, 2, 3)), rtol=1e-12)


def test_statistics_ignore_the_order_of_the_images() -> None:
    images = torch.from_numpy(pixels(5000, (1, 3, 3)))
    assert channel_statistics(images) == channel_statistics(images.flip(0))


def test_a_constant_channel_cannot_be_normalized() -> None:
    images = torch.zeros(4, 2, 3, 3, dtype=torch.uint8)
    images[:, 0] = torch.from_numpy(pixels(4, (3, 3)))
    with pytest.raises(DataError, match="channel 1 has the same value"):
        channel_statistics(images)


def test_fingerprint_depends_on_everything_but_the_name() -> None:
    train, test = parts()
    classes = ("a", "b", "c")
    original = build("one", train, test, classes)
    assert build("two", train, test, classes).fingerprint == original.fingerprint
    assert len(original.fingerprint) == 64

    def changed(tensor: torch.Tensor) -> torch.Tensor:
        copy = tensor.clone()
        copy.view(-1)[-1] = (copy.view(-1)[-1] + 1) % 3
        return copy

    others = [
        build("one", (changed(train[0]), train[1]), test, classes),
        build("one", (train[0], changed(train[1])), test, classes),
        build("one", train, (changed(test[0]), test[1]), classes),
        build("one", train, (test[0], changed(test[1])), classes),
        build("one", train, test, ("a", "b", "d")),
        build("one", train, test, ("a", "c", "b")),
        build("one", (train[0].view(30, 3, 5, 4), train[1]), (test[0].view(9, 3, 5, 4), test[1]), classes),
        build("one", (train[0].flip(0), train[1]), test, classes),
    ]
    prints = {dataset.fingerprint for dataset in (original, *others)}
    assert len(prints) == 1 + len(others)


def test_fingerprint_is_the_same_for_every_memory_layout() -> None:
    train, test = parts()
    other = (train[0].contiguous(memory_format=torch.channels_last), train[1])
    assert build("x", train, test, ("a", "b", "c")).fingerprint == build("x", other, test, ("a", "b", "c")).fingerprint


def test_tensors_are_contiguous_and_frozen() -> None:
    train, test = parts()
    strided = train[0].contiguous(memory_format=torch.channels_last)
    dataset = build("x", (strided, train[1]), test, ("a", "b", "c"))
    assert dataset.train_images.is_contiguous()
    assert torch.equal(dataset.train_images, train[0])
    assert dataset.shape == (3, 4, 5)
    with pytest.raises(AttributeError):
        dataset.name = "y"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images, labels: (images.float(), labels), "must be uint8"),
        (lambda images, labels: (images[:, 0], labels), "must be uint8"),
        (lambda images, labels: (images, labels.int()), "int64 labels"),
        (lambda images, labels: (images[:-1], labels), "29 images and 30 labels"),
        (lambda images, labels: (images[:0], labels[:0]), "0 images"),
        (lambda images, labels: (images, labels + 1), r"labels lie in 1\.\.3, but there are 3 classes"),
        (lambda images, labels: (images, labels - 1), r"lie in -1\.\.1.*hidden labels"),
        (
            lambda images, labels: (images[..., :-1], labels),
            r"training images are \(3, 4, 4\), test images \(3, 4, 5\)",
        ),
    ],
)
def test_bad_parts_are_refused(change, message: str) -> None:
    train, test = parts()
    with pytest.raises(DataError, match=message):
        build("bad", change(*train), test, ("a", "b", "c"))


def test_two_data_sets_compare_by_identity() -> None:
    assert make_dataset() != make_dataset()
