"""Robust accuracy under one step along the sign of the gradient."""

from collections.abc import Iterator

from torch import Tensor

from ...hyper import Hyper
from ..measuring.attack import ACCURACIES, IMAGES, LEVELS, Classifier, accuracy_under, pgd
from ..measuring.registry import Found, measure
from ..measuring.subject import Subject


@measure(
    "fgsm",
    "accuracy after one step along the sign of the gradient",
    group="robust",
    settings={"epsilon": Hyper(1.0, "length, in 255ths of the range of a pixel", low=0, above=True), **IMAGES},
    values=ACCURACIES,
    paper="Goodfellow et al. 2014, arXiv 1412.6572",
)
def fgsm(subject: Subject, *, epsilon: float, samples: int, sample_seed: int) -> Found:
    """Measure the share of images that are right as they are and at x + epsilon sign(grad), pixels kept in [0, 1]."""
    radius = epsilon / LEVELS

    def attack(classifier: Classifier, images: Tensor, labels: Tensor, number: int) -> Iterator[Tensor]:
        yield pgd(classifier, images, labels, norm="linf", epsilon=radius, step=radius, iterations=1)

    return accuracy_under(subject, samples, sample_seed, attack)
