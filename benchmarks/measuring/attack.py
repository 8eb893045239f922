"""Attacks on images in [0, 1]: projected gradient ascent of the cross-entropy in a ball around each of them."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...hyper import Hyper
from ...variants.adversarial import LEVELS, ascend
from ..training.evaluation import BATCH
from .registry import Found
from .subject import Subject

Classifier = Callable[[Tensor], Tensor]
"""Images in [0, 1], (n, C, H, W) -> logits (n, classes)."""


def pgd(classifier: Classifier, images: Tensor, labels: Tensor, **ball: Any) -> Tensor:
    r"""Return adversarial images of a classifier in evaluation mode; see :func:`~sambench.variants.adversarial.ascend`.

    It ascends the log-odds of being wrong, :math:`\ln \sum_{j \ne y} e^{z_j} - z_y`. The cross-entropy of an image
    increases with them: the directions are the same, and are not lost to rounding where a network is so confident that
    the derivative of its cross-entropy is 0.

    Args:
        classifier: in evaluation mode.
        images: in [0, 1], (n, C, H, W).
        labels: int64 (n,).
        **ball: norm, epsilon, step, iterations and start.
    """

    def gradient(moved: Tensor) -> Tensor:
        at = moved.detach().requires_grad_()
        logits = classifier(at)
        true = F.one_hot(labels, logits.shape[1]).bool()
        odds = logits.masked_fill(true, -torch.inf).logsumexp(1) - logits[true]
        return torch.autograd.grad(odds.sum(), at)[0]

    return ascend(gradient, images, **ball)


IMAGES = {
    "samples": Hyper(0, "images of the part that the record reports; 0 for all", low=0),
    "sample_seed": Hyper(0, "which images", low=0),
}
"""Settings of every measure on test images."""
ACCURACIES = {
    "accuracy": "share of images that are right as they are and under every attack",
    "clean_accuracy": "share that is right as they are, in float32",
    "images": "number of images",
}
Attack = Callable[[Classifier, Tensor, Tensor, int], Iterator[Tensor]]
"""Takes a classifier, images in [0, 1], labels and the number of the batch; yields what it makes of the images."""


def accuracy_under(subject: Subject, samples: int, sample_seed: int, attack: Attack) -> Found:
    """Return the values :data:`ACCURACIES` of a run on what its record reports, the worst over all that an attack
    makes of an image."""
    images, labels = subject.sample("reported", samples, sample_seed)
    classifier, clean, robust = subject.classifier, 0, 0
    for number, (part, expected) in enumerate(zip(images.split(BATCH), labels.split(BATCH), strict=True)):
        given, expected = part.to(subject.device).float() / LEVELS, expected.to(subject.device)
        right = is_right(classifier, given, expected)
        clean += int(right.sum())
        for adversarial in attack(classifier, given, expected, number):
            right &= is_right(classifier, adversarial, expected)
        robust += int(right.sum())
    return {"accuracy": robust / len(labels), "clean_accuracy": clean / len(labels), "images": len(labels)}


@torch.no_grad()
def is_right(classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    """Return which images in [0, 1] are classified as their labels say, bool (n,)."""
    return classifier(images).argmax(1) == labels
