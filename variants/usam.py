"""USAM: SAM without the normalization."""

import torch
from torch import Tensor

from . import published
from .contract import Gradient
from .info import Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "usam",
    summary="unnormalized SAM: ascends by rho times the gradient itself",
    paper=Paper(
        "Andriushchenko, Flammarion",
        2022,
        "2206.06232",
        "Towards Understanding Sharpness-Aware Minimization",
        "tml-epfl/understanding-sam",
    ),
    gradients=2,
    transient=1,
    hyper={"rho": Hyper(0.1, "ratio of perturbation to gradient", low=0, search=(0.01, 1.0, "log"))},
    neutral={"rho": 0.0},
    defaults={"cifar10": {"rho": 0.2}},
    published=(
        published.UNIFIED_SAM.result(95.70, 0.01, rho=0.1),
        published.UNIFIED_SAM.result(95.80, 0.05, rho=0.2),
        published.UNIFIED_SAM.result(95.35, 0.30, rho=0.3),
        published.UNIFIED_SAM.result(95.46, 0.02, rho=0.4),
    ),
    notes="rho multiplies the gradient, so its natural scale differs from SAM's radius.",
)
class USAM(SAM):
    r"""Unnormalized sharpness-aware minimization.

    .. math::
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \rho \, \nabla f_S(w_t)))

    Equal to SAM with the radius rho_t = rho ||g_t||.

    References:
        Andriushchenko and Flammarion 2022, arXiv 2206.06232; code: tml-epfl/understanding-sam (``--sam_no_grad_norm``).
        That code puts the weight decay into the loss: here ``weight_decay_mode="in_loss"`` of the harness.
    """

    def ascent(self, at: Gradient) -> list[Tensor]:
        for group, _, values in self.groups(at):
            torch._foreach_mul_(values, group["rho"])
        return at.values
