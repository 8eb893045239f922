"""ON WHAT: data sources to uint8 tensors, splits, corruption, augmentation and samplers.

A run uses four things, in this order::

    dataset = load("digits")                                            # once decoded, cached
    parts = prepare(dataset, split="search", noise=0.2, seed=0)         # what to train on and to measure on
    augmentation = Augmentation.parse("crop:4,flip,cutout:16")
    decisions = augmentation.draw(len(parts.train_ids), dataset.shape[1:], seed)   # all of an epoch
    batch = augmentation(take(images, index), decisions[:128], dataset.mean, dataset.std)
"""

from .augment import Augmentation, Decisions, normalize, take
from .dataset import Dataset, DatasetInfo
from .labels import NOISE_KINDS
from .parts import Parts, prepare
from .registry import list_datasets, load
from .splits import SPLITS, validation_indices

__all__ = [
    "NOISE_KINDS",
    "SPLITS",
    "Augmentation",
    "Dataset",
    "DatasetInfo",
    "Decisions",
    "Parts",
    "list_datasets",
    "load",
    "normalize",
    "prepare",
    "take",
    "validation_indices",
]
