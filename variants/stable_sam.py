"""StableSAM: SAM's direction with the length of the plain gradient."""

from typing import Any

import torch
from torch import Tensor

from .contract import TINY
from .info import Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "stable_sam",
    summary="SAM whose gradient is rescaled to the norm of the gradient at the unperturbed weights",
    paper=Paper(
        "Tan, Zhang, Liu, Wang, Hao",
        2024,
        "2401.07250",
        "Stabilizing Sharpness-Aware Minimization Through A Simple Renormalization Strategy",
        "cltan023/stablesam2024",
    ),
    gradients=2,
    transient=1,
    hyper={"rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log"))},
    neutral={"rho": 0.0},
    defaults={"cifar10": {"rho": 0.05}, "cifar100": {"rho": 0.05}},
    notes="The paper also calls it SSAM, which elsewhere means Sparse SAM. The published learning rate is 0.05.",
)
class StableSAM(SAM):
    r"""Sharpness-aware minimization, renormalized.

    .. math::
        g = \nabla f_S(w_t), \qquad g_p = \nabla f_S(w_t + \rho \, g / \|g\|), \qquad
        w_{t+1} = \mathrm{base}\Big(w_t, \frac{\|g\|}{\|g_p\|} \, g_p\Big)

    Departs from the original code in the denominator: max(norm, 1e-12) instead of norm + 1e-12, so that rho = 0 is the
    base optimizer to the bit; and by two synchronizations with the host that it does not need. The original README
    shows another rule, ``USAM(stable=True)``, whose perturbation is :math:`\rho g` without the norm; this one is its
    ``sam.py``.

    References:
        Tan et al., JMLR 26, 2025, arXiv 2401.07250; code: cltan023/stablesam2024.
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        norm = at.norm()
        with self.perturbed(at, self.ascent(at)):
            at.values.clear()
            worst = self.gradient(closure)
        if worst.values:
            torch._foreach_mul_(worst.values, norm / worst.norm().clamp_min(TINY))
        self.descend(worst)
        return at.loss
