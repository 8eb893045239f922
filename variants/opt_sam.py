"""OptSAM: the previous step's gradient instead of a fresh ascent; a baseline that SAM has to beat."""

from typing import Any

import torch
from torch import Tensor

from .contract import TINY, Gradient, StepRule, global_norm
from .info import Paper
from .registry import Hyper, register


@register(
    "opt_sam",
    summary="SAM that ascends along the previous step's gradient: a negative baseline at the cost of the base",
    paper=Paper(
        "Xie, Pethick, Cevher",
        2024,
        "2410.10683",
        "SAMPa: Sharpness-aware Minimization Parallelized",
        "LIONS-EPFL/SAMPa",
    ),
    gradients=1,
    state=1,
    transient=2,
    hyper={"rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log"))},
    neutral={"rho": 0.0},
    status="reimplementation, unverified",
    notes=(
        "A negative baseline, reported to be below SGD. The only pass is the one at the perturbed weights, so the loss "
        "that step returns and the running statistics of BatchNorm are those of the perturbed weights. Known from the "
        "comparison in the SAMPa paper, which released no code for it."
    ),
)
class OptSAM(StepRule):
    r"""SAM with a stale ascent, as in the optimistic gradient method.

    .. math::
        g_t = \nabla f_{S_t}(w_t + \rho \, g_{t-1} / \|g_{t-1}\|), \qquad w_{t+1} = \mathrm{base}(w_t, g_t)

    The first step has no previous gradient and is a step of the base optimizer.

    References:
        Baseline in Xie et al., NeurIPS 2024, arXiv 2410.10683; there is no original code.
    """

    def update(self, closure: Any) -> Tensor:
        params = [p for group in self.param_groups for p in group["params"] if p in self.own and p.requires_grad]
        where = Gradient(torch.zeros(()), params, [self.own[p]["previous"] for p in params])
        with self.perturbed(where, self.ascent(where)):
            worst = self.gradient(closure)
        for p, g in zip(worst.params, worst.values, strict=True):
            self.own[p] = {"previous": g.clone()}  # the base step may clip or rescale the gradient that it is given
        self.descend(worst)
        return worst.loss

    def ascent(self, at: Gradient) -> list[Tensor]:
        """Return the perturbation along a gradient that is kept."""
        inverse = 1.0 / (global_norm(at.values) + TINY)
        return [
            step for group, _, values in self.groups(at) for step in torch._foreach_mul(values, group["rho"] * inverse)
        ]
