"""R-SAM: SAM on a randomly smoothed loss, by starting the ascent at a noisy point."""

from typing import Any

import torch
from torch import Tensor

from .awp import tensor_norms
from .info import Identity, Paper
from .rand_sam import gaussian, trainable
from .registry import Hyper, register
from .sam import SAM


@register(
    "rsam",
    summary="random SAM: adds noise to the weights, and makes SAM's ascent from there",
    paper=Paper("Liu, Mai, Cheng, Chen, Hsieh, You", 2022, title="Random Sharpness-Aware Minimization"),
    gradients=2,
    transient=2,
    needs=("whole",),
    hyper={
        "rho": Hyper(0.05, "radius of the ascent, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "sigma": Hyper(
            0.01, "expected norm of a tensor's noise over that of its weights", low=0, search=(1e-3, 0.1, "log")
        ),
    },
    neutral={"rho": 0.0, "sigma": 0.0},
    identities=(Identity({"sigma": 0.0, "rho": 0.1}, "sam", {"rho": 0.1}),),
    status="reimplementation, unverified",
    notes=(
        "How the noise is scaled, and whether it stays in the final point, is from memory; both values are starting "
        "points without a source. The first pass is at the noisy weights, so the loss that step returns and the "
        "running statistics of BatchNorm are those of the noisy weights."
    ),
)
class RSAM(SAM):
    r"""Random sharpness-aware minimization.

    .. math::
        \delta_l = \sigma \frac{\|w_l\|}{\sqrt{d_l}} z_l, \quad z_l \sim N(0, I), \qquad
        g = \nabla f_S(w_t + \delta), \qquad
        w_{t+1} = \mathrm{base}\big(w_t, \nabla f_S(w_t + \delta + \rho \, g / \|g\|)\big)

    for each tensor l of :math:`d_l` parameters: the noise is relative to the root mean square of the tensor.

    The original code could not be read: the rule follows the abstract and descriptions by others.

    References:
        Liu et al., NeurIPS 2022; original code: none that could be read.
    """

    def update(self, closure: Any) -> Tensor:
        where = trainable(self)
        noise = gaussian(where.params, self.noise())
        for group, params, values in self.groups(where.like(noise)):
            scales = tensor_norms(params)
            torch._foreach_mul_(scales, [group["sigma"] / max(1, p.numel()) ** 0.5 for p in params])
            torch._foreach_mul_(values, scales)
        with self.perturbed(where, noise):
            at = self.gradient(closure)
        if self.ascent(at):  # in place: at.values is now the ascent
            drawn = dict(zip(where.params, noise, strict=True))
            # A frozen one keeps its gradient where the closure only zeroes it, and has no noise.
            if noisy := [value for p, value in zip(at.params, at.values, strict=True) if p in drawn]:
                torch._foreach_add_(noisy, [drawn[p] for p in at.params if p in drawn])
            noisy.clear()
            drawn.clear()
        noise.clear()
        with self.perturbed(at, at.values):
            at.values.clear()
            worst = self.gradient(closure)
        self.descend(worst)
        return at.loss
