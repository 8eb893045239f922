"""The value every loader returns: a classification data set as uint8 tensors, identified by its fingerprint."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled image data set in memory.

    Attributes:
        name: name of the data set in specs and records.
        train_images: uint8 (N, C, H, W), contiguous, on the CPU.
        train_labels: int64 (N,), values in ``range(len(classes))``.
        test_images: uint8 (M, C, H, W), like ``train_images``.
        test_labels: int64 (M,), like ``train_labels``.
        classes: the class names, in the order of the labels.
        fingerprint: sha256 (64 hex digits) over shapes, pixels, labels and class names; not over ``name``.
        mean: mean of each channel (C,) over all training pixels, in units where white is 1.
        std: population standard deviation of each channel (C,), in the same units.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width


@dataclass(frozen=True)
class DatasetInfo:
    """The description of a data source before it is read; ``None`` where the value depends on the files.

    Attributes:
        name: argument of :func:`~sambench.datasets.load` (``parquet:DIR`` stands for any directory).
        summary: one line for listings.
        function: the loader, which takes a name, the folder to read (``DIR``, or that of the archives) and the folder
            of the cache.
        augment: augmentation recipe of specs that give none.
        shape: channels, height and width of the images.
        classes: number of classes of the data set.
        train: number of training examples.
        test: number of test examples.
        balanced: whether all classes have equally many training examples.
        fingerprint: fingerprint of the official data; ``None`` also where whoever registered it has not held them.
    """

    name: str
    summary: str
    function: Callable[..., Dataset]
    augment: str
    shape: tuple[int, int, int] | None = None
    classes: int | None = None
    train: int | None = None
    test: int | None = None
    balanced: bool = True
    fingerprint: str | None = None

    @property
    def examples(self) -> tuple[str, ...]:
        """A name that it is found by: its own, with a number in place of a parameter."""
        return (self.name.replace("{size}", "64"),)

    def check(self, dataset: Dataset) -> Dataset:
        """Return a data set that is what this description says.

        Raises:
            DataError: it is not; the message has every difference.
        """
        found = {
            "shape": dataset.shape,
            "classes": len(dataset.classes),
            "train": len(dataset.train_labels),
            "test": len(dataset.test_labels),
            "fingerprint": dataset.fingerprint,
        }
        declared = {key: getattr(self, key) for key in found}
        if wrong := [key for key, value in declared.items() if value not in (None, found[key])]:
            listed = "; ".join(f"{key} is {found[key]}, expected {declared[key]}" for key in wrong)
            raise DataError(
                f"what was read as {self.name!r} is other data: {listed}. Replace its files by the official ones, or "
                "give the data a name of its own"
            )
        return dataset


def build(
    name: str,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    classes: tuple[str, ...],
) -> Dataset:
    """Check decoded tensors, compute fingerprint and channel statistics, and freeze them.

    Args:
        name: name of the data set in specs and records.
        train: images uint8 (N, C, H, W) and labels int64 (N,).
        test: images uint8 (M, C, H, W) and labels int64 (M,).
        classes: the class names, in the order of the labels.

    Raises:
        DataError: if a part is empty, the shapes disagree, a label has no class name, class names repeat, or there is
            nothing to tell apart.
    """
    if len(classes) < 2 or len(set(classes)) < len(classes):
        shown = ", ".join(map(repr, classes[:10]))
        raise DataError(f"{name}: at least two classes with different names are needed, got {len(classes)}: {shown}")
    for part, (images, labels) in (("training", train), ("test", test)):
        if images.dtype != torch.uint8 or images.ndim != 4 or labels.dtype != torch.int64:
            raise DataError(
                f"{name}: the {part} part must be uint8 (N, C, H, W) with int64 labels, "
                f"got {images.dtype} {tuple(images.shape)} with {labels.dtype}"
            )
        if len(images) == 0 or len(images) != len(labels):
            raise DataError(f"{name}: the {part} part has {len(images)} images and {len(labels)} labels")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(classes):
            raise DataError(
                f"{name}: the {part} labels lie in {low}..{high}, but there are {len(classes)} classes "
                f"(0..{len(classes) - 1}); a part with hidden labels (-1) cannot be used"
            )
    if unseen := sorted(set(test[1].unique().tolist()) - set(train[1].unique().tolist())):
        raise DataError(
            f"{name}: {len(unseen)} classes of the test part have no training image, first {classes[unseen[0]]!r}; "
            "remove them from the test part"
        )
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            f"{name}: training images are {tuple(train[0].shape[1:])}, test images {tuple(test[0].shape[1:])} "
            "(channels, height, width); bring them to one size first"
        )
    train_images, train_labels = train[0].contiguous(), train[1].contiguous()
    test_images, test_labels = test[0].contiguous(), test[1].contiguous()
    fingerprint = fingerprint_of(train_images, train_labels, test_images, test_labels, classes)
    mean, std = channel_statistics(train_images)
    return Dataset(name, train_images, train_labels, test_images, test_labels, classes, fingerprint, mean, std)


def fingerprint_of(
    train_images: Tensor,
    train_labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    classes: tuple[str, ...],
) -> str:
    """Hash the content of a data set: shapes, class names, pixels and labels.

    Returns:
        64 hex digits: sha256 over a JSON header (shapes and class names), then the four tensors' bytes in
        argument order, labels as little-endian int64.
    """
    tensors = (train_images, train_labels, test_images, test_labels)
    header = {"classes": list(classes), "shapes": [list(tensor.shape) for tensor in tensors]}
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for tensor in tensors:
        array = tensor.contiguous().numpy()
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and population standard deviation of each channel, in units where white is 1.

    With the integer sums S1 = sum x and S2 = sum x^2 over the n pixels of a channel (exact, so the result
    depends on neither order nor thread count): mean = S1 / (255 n), std = sqrt(n S2 - S1^2) / (255 n).

    Args:
        images: uint8 (N, C, H, W).

    Raises:
        DataError: if a channel is constant: it cannot be normalized by a deviation of zero.

    Example:
        >>> channel_statistics(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1))
        ((0.5,), (0.5,))
    """
    means, deviations = [], []
    for channel in range(images.shape[1]):
        # By histogram, in chunks: bincount widens what it counts to 64 bits, eight times the size of the data.
        chunks = images[:, channel].split(2048)
        counts = sum(np.bincount(chunk.numpy().ravel(), minlength=256) for chunk in chunks)
        histogram = [int(count) for count in np.atleast_1d(counts)]
        n = sum(histogram)
        first = sum(value * count for value, count in enumerate(histogram))
        second = sum(value * value * count for value, count in enumerate(histogram))
        if n * second == first * first:
            raise DataError(f"channel {channel} has the same value in every pixel: it cannot be normalized")
        means.append(first / (255 * n))
        deviations.append((n * second - first * first) ** 0.5 / (255 * n))
    return tuple(means), tuple(deviations)


def send(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor on a device; a GPU copies it from pinned memory of the host, and nobody waits for that."""
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
