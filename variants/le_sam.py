"""LE-SAM: SAM with a budget for the rise of the loss instead of a radius."""

import math
from typing import Any

import torch
from torch import Tensor

from .contract import TINY, Gradient
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


def share_of_budget(progress: float, warmup: float, decay_start: float) -> float:
    """Return the share of the budget at a point of the run: linear warm-up, then 1, then a cosine to 0.

    Args:
        progress: share of the run that is over, in [0, 1).
        warmup: share of the run over which the budget rises from 0.
        decay_start: share of the run after which it falls.

    Example:
        >>> [round(share_of_budget(at, 0.05, 0.8), 3) for at in (0.0, 0.025, 0.5, 0.9, 0.999)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if progress < warmup:
        return progress / warmup
    if progress < decay_start:
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * (progress - decay_start) / (1.0 - decay_start)))


@register(
    "le_sam",
    summary="loss-equated SAM: the radius that raises the linearized loss by a fixed budget",
    paper=Paper(
        "Wang, Liu, Xie, Gao",
        2026,
        "2605.10183",
        "Fix the Loss, Not the Radius: Rethinking the Adversarial Perturbation of Sharpness-Aware Minimization",
        "smithgun2005/LE-SAM-ICML2026",
    ),
    gradients=2,
    transient=1,
    needs=("clock",),
    hyper={
        "sigma": Hyper(0.35, "budget: rise of the linearized loss", low=0, search=(0.01, 1.0, "log")),
        "rho_max": Hyper(0.3, "largest radius, L2 norm; 999: none", low=0, search=(0.1, 0.3, 1.0, 999.0)),
        "warmup": Hyper(0.05, "share of the run over which the budget rises from 0", low=0, high=1),
        "decay_start": Hyper(0.8, "share of the run after which the budget falls to 0", low=0, high=1),
    },
    neutral={"sigma": 0.0},
    identities=(Identity({"sigma": 1e6, "rho_max": 0.1, "warmup": 0.0, "decay_start": 1.0}, "sam", {"rho": 0.1}),),
    defaults={"cifar100": {"sigma": 0.35, "rho_max": 999.0}},
    notes=(
        "The official README runs CIFAR-100 without a ceiling (rho_max 999), the code's own default is 0.3. Without "
        "one the perturbation grows without bound as the gradient vanishes."
    ),
)
class LESAM(SAM):
    r"""Loss-equated sharpness-aware minimization.

    .. math::
        \rho_t = \min(\sigma_t / \|g\|, \rho_{\max}), \qquad \epsilon = \rho_t \, g / \|g\|, \qquad
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \epsilon))

    so that :math:`\langle g, \epsilon \rangle = \sigma_t` below the ceiling. The budget :math:`\sigma_t` is sigma times
    a schedule: a linear warm-up, a plateau, and a cosine to 0. This is USAM with the ratio :math:`\sigma_t / \|g\|^2`.

    Departs from the official code, where the schedule moves once per epoch, by moving it with every step (the shares
    are its 10 and 160 of 200 epochs); and by leaving out its options to average over the hardest samples and to mix in
    the plain gradient, which its defaults turn off.

    References:
        Wang et al., ICML 2026, arXiv 2605.10183; code: smithgun2005/LE-SAM-ICML2026.
    """

    def update(self, closure: Any) -> Tensor:
        self.progress = self.ask(closure, "step") / self.ask(closure, "total_steps")
        return super().update(closure)

    def ascent(self, at: Gradient) -> list[Tensor]:
        inverse = 1.0 / (at.norm() + TINY)
        for group, _, values in self.groups(at):
            budget = group["sigma"] * share_of_budget(self.progress, group["warmup"], group["decay_start"])
            torch._foreach_mul_(values, (budget * inverse).clamp_max(group["rho_max"]) * inverse)
        return at.values
