"""Adversarial training: every pass of a step looks at images that were moved to where their loss is larger."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..seeding import generator
from .hooks import HOOKS, LossHook, Samples, TrainingProgress
from .info import Paper
from .registry import Hyper

LEVELS = 255
"""Radii are given in units of the 255th part of the range from black to white."""


def ascend(
    gradient: Callable[[Tensor], Tensor],
    images: Tensor,
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
        gradient: images in [0, 1], (n, C, H, W) -> derivatives of their losses, (n, C, H, W).
        images: in [0, 1], (n, C, H, W).
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
        found = gradient(moved)
        if norm == "linf":
            change = (moved + step * found.sign() - images).clamp(-epsilon, epsilon)
        else:
            change = _into_l2(moved + step * found / _norms(found) - images, epsilon)
        moved = (images + change).clamp(0, 1)
    return moved


def random_start(images: Tensor, norm: str, epsilon: float, random: torch.Generator) -> Tensor:
    """Draw a perturbation for each image: uniform in the box (linf), or a uniform direction and radius (l2)."""
    if norm == "linf":
        return ((torch.rand(images.shape, generator=random) * 2 - 1) * epsilon).to(images)
    direction = torch.randn(images.shape, generator=random)
    radius = torch.rand(len(images), 1, 1, 1, generator=random) * epsilon
    return (radius * direction / _norms(direction)).to(images)


def _norms(tensor: Tensor) -> Tensor:
    """Return the l2 norm of each sample, (n, 1, 1, 1), never 0."""
    return tensor.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)


def _into_l2(change: Tensor, epsilon: float) -> Tensor:
    """Project each sample onto the l2 ball."""
    return change * (epsilon / _norms(change)).clamp_max(1)


@HOOKS.register
class Adversarial(LossHook):
    r"""Adversarial training by projected gradient ascent.

    .. math:: f_S(w) = \frac{1}{B} \sum_{i \in S} \omega_i\, \ell(w; x_i + \delta_i, y_i), \qquad
        \delta_i \approx \arg\max_{\|\delta\| \le \epsilon,\ 0 \le x_i + \delta \le 1} \, \ell(w; x_i + \delta, y_i)

    with pixels in [0, 1] after augmentation. The ascent is that of :func:`ascend`, by ``adversarial_iterations``
    gradients of the training loss at the weights before the step, BatchNorm in training mode with its running
    statistics left as they are. All passes of the step rule then look at the same moved images, those at perturbed
    weights too. FGSM is one iteration with a step of 1 from a zero start.

    Departs from Madry et al., whose start is drawn anew for every example, where a step rule asks for fresh batches:
    those of one step share their starts.

    References:
        Madry et al. 2017, arXiv 1706.06083; Goodfellow, Shlens and Szegedy 2014, arXiv 1412.6572 (FGSM).
    """

    name = "adversarial"
    summary = "adversarial training: PGD on the images of every batch (FGSM at one iteration)"
    paper = Paper("Madry, Makelov, Schmidt, Tsipras, Vladu", 2017, "1706.06083")
    hyper: ClassVar[Mapping[str, Hyper]] = {
        "adversarial_norm": Hyper("linf", "of the ball", choices=("linf", "l2")),
        "adversarial_epsilon": Hyper(8.0, "radius of the ball, in 255ths of the range of a pixel", low=0),
        "adversarial_step": Hyper(0.25, "length of a step, as a share of epsilon", low=0, above=True),
        "adversarial_iterations": Hyper(10, "steps, a gradient evaluation each", low=1),
        "adversarial_start": Hyper("random", "where the ascent starts in the ball", choices=("random", "zero")),
    }

    @staticmethod
    def declared_gradients(hyper: Mapping[str, Any]) -> float:
        return float(hyper["adversarial_iterations"] if hyper["adversarial_epsilon"] else 0)

    def images(self, run: TrainingProgress, batch: Samples) -> Tensor | None:
        norm, epsilon, step, iterations, start = (self.settings[name] for name in self.hyper)
        if not epsilon:
            return None
        norm, radius = str(norm), float(epsilon) / LEVELS
        mean, std = run.normalization
        pixels = batch.images * std + mean

        def gradient(moved: Tensor) -> Tensor:
            return run.image_gradient((moved - mean) / std, batch) / std

        first = None
        if start == "random":
            first = random_start(pixels, norm, radius, generator("adversarial start", run.seed, run.step))
        ball = {"norm": norm, "epsilon": radius, "step": float(step) * radius, "iterations": int(iterations)}
        return (ascend(gradient, pixels, start=first, **ball) - mean) / std
