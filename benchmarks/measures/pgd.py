"""Robust accuracy under projected gradient ascent."""

from collections.abc import Iterator

from torch import Tensor

from ...hyper import Hyper
from ...seeding import generator
from ...variants.adversarial import random_start
from ..measuring.attack import ACCURACIES, IMAGES, LEVELS, Classifier, accuracy_under, pgd
from ..measuring.registry import Found, measure
from ..measuring.subject import Subject


@measure(
    "pgd",
    "accuracy under projected gradient ascent in a ball around each image",
    group="robust",
    settings={
        "norm": Hyper("linf", "of the ball", choices=("linf", "l2")),
        "epsilon": Hyper(1.0, "radius of the ball, in 255ths of the range of a pixel", low=0, above=True),
        "step": Hyper(0.25, "length of a step, as a share of epsilon", low=0, above=True),
        "iterations": Hyper(10, "steps", low=1),
        "restarts": Hyper(1, "random starts; the worst counts", low=1),
        "start_seed": Hyper(0, "of the random starts", low=0),
        **IMAGES,
    },
    values=ACCURACIES,
    paper="Madry et al. 2017, arXiv 1706.06083; Zhang et al. 2024, arXiv 2402.15152 (the settings)",
)
def robust_accuracy(
    subject: Subject,
    *,
    norm: str,
    epsilon: float,
    step: float,
    iterations: int,
    restarts: int,
    start_seed: int,
    samples: int,
    sample_seed: int,
) -> Found:
    """Measure the share of images that are right as they are and after every ascent; pixels stay in [0, 1].

    The duality paper uses linf with epsilon 1 and 2 (step .25), and l2 with epsilon 16 and 32 (step .125).
    """
    radius = epsilon / LEVELS

    def attack(classifier: Classifier, images: Tensor, labels: Tensor, number: int) -> Iterator[Tensor]:
        for restart in range(restarts):
            start = random_start(images, norm, radius, generator("measure attack", start_seed, number, restart))
            yield pgd(
                classifier,
                images,
                labels,
                norm=norm,
                epsilon=radius,
                step=step * radius,
                iterations=iterations,
                start=start,
            )

    return accuracy_under(subject, samples, sample_seed, attack)
