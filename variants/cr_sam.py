"""CR-SAM: SAM with a penalty on the curvature along the ascent direction."""

from typing import Any

import torch
from torch import Tensor

from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "cr_sam",
    summary="SAM plus finite differences of the gradient on both sides of the weights, which penalize curvature",
    paper=Paper(
        "Wu, Luo, Wunsch",
        2024,
        "2312.13555",
        "CR-SAM: Curvature Regularized Sharpness-Aware Minimization",
        "TrustAIoT/CR-SAM",
    ),
    gradients=3,
    transient=3,
    hyper={
        "rho": Hyper(0.1, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "gamma": Hyper(0.1, "weight of the second difference", low=0, search=(0.01, 0.5, "log")),
        "beta": Hyper(0.01, "weight of the first difference", low=0, search=(0.001, 0.1, "log")),
    },
    neutral={"rho": 0.0},
    identities=(Identity({"gamma": 0.0, "beta": 0.0, "rho": 0.1}, "sam", {"rho": 0.1}),),
    defaults={
        "cifar10": {"rho": 0.1, "gamma": 0.1, "beta": 0.01},
        "cifar100": {"rho": 0.1, "gamma": 0.1, "beta": 0.01},
    },
    notes=(
        "The original code lets the pass at w - eps move BatchNorm's statistics a second time; here only the first "
        "pass does. It reports the best test accuracy over epochs."
    ),
)
class CRSAM(SAM):
    r"""Curvature-regularized sharpness-aware minimization.

    .. math::
        \epsilon = \rho\, g / \|g\|, \quad g = \nabla f_S(w_t), \quad g_\pm = \nabla f_S(w_t \pm \epsilon)

        w_{t+1} = \mathrm{base}\big(w_t,\; g_+ + \gamma\,(g_+ + g_- - 2 g) + \beta\,(g_+ - g_-)\big)

    The second difference is the gradient of a finite-difference estimate of the curvature along the gradient, the first
    one that of the gradient norm.

    Departs from the original code, which walks from w + eps to w - eps by subtracting twice: here both points are left
    by restoring the very bits of w.

    References:
        Wu, Luo and Wunsch, AAAI 2024, arXiv 2312.13555; code: TrustAIoT/CR-SAM, ``utils/crsam.py``.
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        with self.perturbed(at, self.ascent(at.like([g.clone() for g in at.values]))):
            above = self.gradient(closure)
        with self.perturbed(at, self.ascent(at.like([-g for g in at.values]))):
            below = self.gradient(closure)
        for (group, _, plus), (_, _, second), (_, _, first) in zip(
            self.groups(above), self.groups(at), self.groups(below), strict=True
        ):
            torch._foreach_mul_(second, -2.0)
            torch._foreach_add_(second, plus)
            torch._foreach_add_(second, first)  # g+ + g- - 2 g, zero to the bit at rho = 0
            torch._foreach_sub_(first, plus)  # -(g+ - g-)
            torch._foreach_add_(plus, second, alpha=group["gamma"])
            torch._foreach_sub_(plus, first, alpha=group["beta"])
        self.descend(above)
        return at.loss
