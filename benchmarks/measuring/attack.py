"""Attacks on images in [0, 1]: projected gradient ascent of the cross-entropy in a ball around each of them."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ...hyper import Hyper
from ..training.evaluation import BATCH
from .registry import Found
from .subject import Subject

Classifier = Callable[[Tensor], Tensor]
"""Images in [0, 1], (n, C, H, W) -> logits (n, classes)."""


def pgd(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    *,
    norm: str,
    epsilon: float,
    step: float,
    iterations: int,
    start: Tensor | None = None,
) -> Tensor:
    """Return adversarial images: x <- P(x + step * d), d the sign of the gradient (linf) or the gradient with norm 1.

    P projects onto the ball of radius epsilon around each image, then onto [0, 1].

    Args:
        classifier: in evaluation mode.
        images: in [0, 1], (n, C, H, W).
        labels: int64 (n,).
        norm: ``"linf"`` or ``"l2"``.
        epsilon: radius, in units where white is 1.
        step: length of a step, in the same units.
        iterations: number of steps.
        start: first perturbation, in the ball, (n, C, H, W); None for zero.

    References:
        Madry et al. 2017, arXiv 1706.06083.
    """
    moved = images.clone() if start is None else (images + start).clamp(0, 1)
    for _ in range(iterations):
        moved.requires_grad_(True)
        (gradient,) = torch.autograd.grad(F.cross_entropy(classifier(moved), labels, reduction="sum"), moved)
        moved = moved.detach()
        if norm == "linf":
            change = (moved + step * gradient.sign() - images).clamp(-epsilon, epsilon)
        else:
            change = into_l2(moved + step * gradient / norms(gradient) - images, epsilon)
        moved = (images + change).clamp(0, 1)
    return moved


def random_start(images: Tensor, norm: str, epsilon: float, random: torch.Generator) -> Tensor:
    """Draw a perturbation for each image: uniform in the box (linf), or a uniform direction and radius (l2)."""
    if norm == "linf":
        return ((torch.rand(images.shape, generator=random) * 2 - 1) * epsilon).to(images)
    direction = torch.randn(images.shape, generator=random)
    radius = torch.rand(len(images), 1, 1, 1, generator=random) * epsilon
    return (radius * direction / norms(direction)).to(images)


def norms(tensor: Tensor) -> Tensor:
    """Return the l2 norm of each sample, (n, 1, 1, 1), never 0."""
    return tensor.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)


def into_l2(change: Tensor, epsilon: float) -> Tensor:
    """Project each sample onto the l2 ball."""
    return change * (epsilon / norms(change)).clamp_max(1)


LEVELS = 255
"""Radii are given in units of the 255th part of the range from black to white."""
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
