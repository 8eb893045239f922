"""From a data set to what one run trains on, selects on and is measured on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import unknown
from .dataset import Dataset
from .labels import corrupt
from .splits import SPLITS, balanced_subset, long_tail, validation_indices


@dataclass(frozen=True, eq=False)
class Parts:
    """The examples of one run.

    Attributes:
        train_images: uint8 (n, C, H, W).
        train_labels: int64 (n,), after label noise.
        train_ids: int64 (n,), ascending: where each example stands in ``Dataset.train_images``.
        validation: images and clean labels set aside from the training examples, or ``None``.
        test: images and labels of the test set, or ``None`` where they must not be touched.
    """

    train_images: Tensor
    train_labels: Tensor
    train_ids: Tensor
    validation: tuple[Tensor, Tensor] | None
    test: tuple[Tensor, Tensor] | None


def prepare(
    dataset: Dataset,
    *,
    split: str,
    subset: int | None = None,
    noise: float = 0.0,
    noise_kind: str = "symmetric",
    imbalance: float = 1.0,
    seed: int,
) -> Parts:
    """Split a data set, then thin and corrupt its training part; validation and test stay clean and whole.

    The order is: split, ``subset``, ``imbalance``, ``noise``. Splits do not depend on the seed.

    Args:
        dataset: what :func:`~sambench.datasets.load` returned.
        split: ``"full"``: train on everything, report the test set. ``"holdout"``: a tenth is set aside for
            curves, report the test set. ``"search"``: the same tenth is what the run reports, for choosing
            hyper-parameters; there is no test set.
        subset: number of training examples, classes as balanced as they allow; ``None`` keeps all.
        noise: share of the training labels made wrong (see :func:`~sambench.datasets.labels.corrupt`).
        noise_kind: ``"symmetric"`` or ``"asymmetric"``.
        imbalance: most to least frequent class in the training part, at least 1.
        seed: the seed of the run; subset, imbalance and noise have streams of their own.

    Raises:
        ConfigError: for an unknown split or kind, or a value out of range.

    Example:
        >>> from sambench.datasets import load
        >>> parts = prepare(load("digits"), split="search", seed=0)
        >>> len(parts.train_ids), len(parts.validation[1]), parts.test
        (1295, 143, None)
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    images, labels = dataset.train_images, dataset.train_labels
    test = (dataset.test_images, dataset.test_labels)
    ids, validation = torch.arange(len(labels)), None
    if split != "full":
        held_out = validation_indices(len(labels))
        validation = (images[held_out], labels[held_out])
        remaining = torch.ones(len(labels), dtype=torch.bool)
        remaining[held_out] = False
        ids = ids[remaining]
    if subset is not None:
        ids = ids[balanced_subset(labels[ids], subset, len(dataset.classes), seed)]
    if imbalance != 1:
        ids = ids[long_tail(labels[ids], imbalance, len(dataset.classes), seed)]
    return Parts(
        train_images=images if len(ids) == len(images) else images[ids],
        train_labels=corrupt(labels[ids], noise, noise_kind, dataset.classes, seed),
        train_ids=ids,
        validation=validation,
        test=None if split == "search" else test,
    )
