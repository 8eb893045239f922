"""SAM: the gradient at the worst point of a ball, to first order."""

from typing import Any

import torch
from torch import Tensor

from . import published
from .contract import TINY, Gradient, StepRule
from .info import Paper
from .registry import Hyper, register


@register(
    "sam",
    summary="gradient at the first-order worst point of an L2 ball of radius rho",
    paper=Paper(
        "Foret, Kleiner, Mobahi, Neyshabur",
        2020,
        "2010.01412",
        "Sharpness-Aware Minimization for Efficiently Improving Generalization",
        "google-research/sam",
    ),
    gradients=2,
    transient=1,
    hyper={"rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log"))},
    neutral={"rho": 0.0},
    defaults={"cifar10": {"rho": 0.05}, "cifar100": {"rho": 0.1}},
    published=(
        published.DAVDA54.result(97.14, rho=0.05),
        published.UNIFIED_SAM.result(95.90, 0.08, rho=0.1),
        published.UNIFIED_SAM.result(95.93, 0.07, rho=0.2),
        published.UNIFIED_SAM.result(95.95, 0.09, rho=0.3),
        published.UNIFIED_SAM.result(95.62, 0.05, rho=0.4),
        published.SAM_ISSUE.result(97.04, rho=0.05),
        published.FRIENDLY_SAM.result(80.78, rho=0.2),
        published.SAM_PYTORCH_RESNET20.result(93.50, rho=0.05),
        published.SAM_PYTORCH_WRN28_2.result(95.80, rho=0.05),
        published.SAM_PYTORCH_RESNEXT29.result(96.40, rho=0.05),
        published.GIUNG2_CIFAR10.result(96.20),
        published.GIUNG2_CIFAR100.result(78.96),
        published.BAYESIAN_SAM.result(95.69, rho=0.05),
    ),
    notes="The original code clips at 5 and puts the weight decay into the loss (weight_decay_mode='in_loss').",
)
class SAM(StepRule):
    r"""Sharpness-aware minimization.

    .. math::
        \epsilon = \rho \, g / (\|g\|_2 + c), \quad g = \nabla f_S(w), \qquad
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \epsilon))

    The norm runs over all parameters together; a group with its own ``rho`` scales its part of the perturbation.

    Departs from the original code (JAX, no c) by c = 1e-12, so that a zero gradient gives no perturbation.

    References:
        Foret et al. 2020, arXiv 2010.01412; code: google-research/sam.
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        with self.perturbed(at, self.ascent(at)):
            at.values.clear()  # spent: a copy of the model less in memory during the second pass
            worst = self.gradient(closure)
        self.descend(worst)
        return at.loss

    def ascent(self, at: Gradient) -> list[Tensor]:
        """Return the perturbation, one tensor per parameter; the gradient's own tensors are overwritten."""
        inverse = 1.0 / (at.norm() + TINY)
        for group, _, values in self.groups(at):
            torch._foreach_mul_(values, group["rho"] * inverse)
        return at.values
