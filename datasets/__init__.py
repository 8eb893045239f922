"""ON WHAT: data sources to uint8 tensors, splits, corruption, augmentation and samplers.

A run uses four things, in this order::

    dataset = load("cifar10")                                      # decoded once, then read from a cache
    parts = prepare(dataset, split="search", noise=0.2, seed=0)    # training, validation and test part
    images = parts.train_images.to(device, memory_format=torch.channels_last)
    augmentation = Augmentation.parse("crop:4,flip,cutout:16")
    decisions = augmentation.draw(len(images), dataset.shape[1:], seed).to(device)    # of one epoch
    batch = augmentation(take(images, index[:128]), decisions[:128], dataset.mean, dataset.std)

For validation and test, ``normalize(images, dataset.mean, dataset.std)`` replaces the last two steps.
"""

from typing import TYPE_CHECKING

from ..lazy import attach

if TYPE_CHECKING:
    from .augment import Augmentation, Decisions, normalize, take
    from .dataset import Dataset, DatasetInfo, build
    from .label_noise import NOISE_KINDS
    from .registry import DATASETS, list_datasets, load, register_dataset
    from .splits import SPLITS, Parts, prepare, validation_indices

__all__ = [
    "DATASETS",
    "NOISE_KINDS",
    "SPLITS",
    "Augmentation",
    "Dataset",
    "DatasetInfo",
    "Decisions",
    "Parts",
    "build",
    "list_datasets",
    "load",
    "normalize",
    "prepare",
    "register_dataset",
    "take",
    "validation_indices",
]

__getattr__ = attach(
    __name__,
    {
        ".augment": "Augmentation Decisions normalize take",
        ".dataset": "Dataset DatasetInfo build",
        ".label_noise": "NOISE_KINDS",
        ".registry": "DATASETS list_datasets load register_dataset",
        ".splits": "Parts SPLITS prepare validation_indices",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
