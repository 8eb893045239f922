"""RandSAM: a random perturbation instead of the ascent; a baseline that SAM has to beat."""

from typing import Any

import torch
from torch import Tensor

from .contract import TINY, Gradient, StepRule, global_norm
from .info import Paper
from .registry import Hyper, register


def gaussian(params: list[Tensor], noise: torch.Generator) -> list[Tensor]:
    """Draw standard normal tensors of the parameters' shapes one after the other, in float32."""
    return [torch.randn(p.shape, generator=noise, device=noise.device, dtype=torch.float32).to(p) for p in params]


def trainable(rule: StepRule) -> Gradient:
    """Return all parameters that can be perturbed before any gradient is known, with no values."""
    params = [p for group in rule.param_groups for p in group["params"] if p.requires_grad]
    return Gradient(torch.zeros(()), params, [])


@register(
    "rand_sam",
    summary="gradient at a random point of the sphere of radius rho: a negative baseline at the cost of the base",
    paper=Paper(
        "Xie, Pethick, Cevher",
        2024,
        "2410.10683",
        "SAMPa: Sharpness-aware Minimization Parallelized",
        "LIONS-EPFL/SAMPa",
    ),
    gradients=1,
    transient=2,
    hyper={"rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log"))},
    neutral={"rho": 0.0},
    status="reimplementation, unverified",
    notes=(
        "A negative baseline: it shows what a perturbation gains without knowing a direction. The only pass is the one "
        "at the perturbed weights, so the loss that step returns and the running statistics of BatchNorm are those of "
        "the perturbed weights. Known from the comparison in the SAMPa paper, which released no code for it."
    ),
)
class RandSAM(StepRule):
    r"""SAM with a random direction.

    .. math::
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \rho \, z / \|z\|)), \qquad z \sim N(0, I)

    z is drawn anew each step over all trainable parameters together.

    References:
        Baseline in Xie et al., NeurIPS 2024, arXiv 2410.10683; there is no original code.
    """

    def update(self, closure: Any) -> Tensor:
        where = trainable(self)
        with self.perturbed(where, self.direction(where)):
            worst = self.gradient(closure)
        self.descend(worst)
        return worst.loss

    def direction(self, where: Gradient) -> list[Tensor]:
        """Draw the perturbation."""
        steps = gaussian(where.params, self.noise())
        inverse = 1.0 / (global_norm(steps) + TINY)
        for group, _, values in self.groups(where.like(steps)):
            torch._foreach_mul_(values, group["rho"] * inverse)
        return steps
