"""The recorded accuracy without the test images of CIFAR that have a duplicate, from the list of right answers."""

from functools import cache
from pathlib import Path

import numpy as np

from ...results.records.record import RunRecord, unpack_bits
from ..measuring.registry import Found, NotApplicable, measure

LISTS = {"cifar10": "cifair10.txt", "cifar100": "cifair100.txt"}
"""Data set -> file of the positions in its official test set that are left out."""


@cache
def duplicates(dataset: str) -> np.ndarray:
    """Return the positions of the test images that are left out, int64 (n,), ascending."""
    return np.loadtxt(Path(__file__).with_name(LISTS[dataset]), dtype=np.int64)


@measure(
    "cifair",
    "test accuracy of the record without duplicated images",
    group="record",
    settings={},
    values={
        "accuracy": "share of the images without a duplicate that is right",
        "duplicates_accuracy": "share of the others",
        "images": "number of images without a duplicate",
    },
    paper="Barz & Denzler 2020, arXiv 1902.00423",
    of_record=True,
)
def cifair(record: RunRecord) -> Found:
    """Score the right answers of the record again. No model and no data are needed.

    Left out are the test images that have a duplicate among the training images, by the lists of the authors
    (github.com/cvjena/cifair, meta at 7091782, exact, near and very similar ones), and the second one of two duplicates
    in the test set. ciFAIR replaces duplicates by new images; those are not looked at here.
    """
    dataset, metrics = record.spec["dataset"], record.metrics
    if dataset not in LISTS:
        raise NotApplicable(f"it is of {' and '.join(LISTS)}, in their official order, not of {dataset}")
    if metrics is None or metrics.split != "test":
        raise NotApplicable("the run was not measured on the test set")
    right = unpack_bits(metrics.correct, metrics.count)
    left_out = np.isin(np.arange(metrics.count), duplicates(dataset))
    return {
        "accuracy": float(right[~left_out].mean()),
        "duplicates_accuracy": float(right[left_out].mean()),
        "images": int((~left_out).sum()),
    }
