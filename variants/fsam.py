"""F-SAM (Friendly SAM): SAM that ascends along the noise of the gradient instead of the gradient."""

from typing import Any

import torch
from torch import Tensor

from . import published
from .contract import TINY, Gradient, global_norm
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "fsam",
    summary="Friendly SAM: ascends along the batch gradient minus a running average of gradients",
    paper=Paper(
        "Li, Zhou, He, Cheng, Huang", 2024, "2403.12350", "Friendly Sharpness-Aware Minimization", "nblt/F-SAM"
    ),
    gradients=2,
    state=1,
    transient=2,
    hyper={
        "rho": Hyper(0.1, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "sigma": Hyper(1.0, "share of the average that is taken away", low=0, search=(0.0, 1.0, "linear")),
        "lam": Hyper(0.9, "weight of the past in the average", low=0, high=1, search=(0.6, 0.9, 0.95, 0.99)),
    },
    neutral={"rho": 0.0},
    identities=(Identity({"sigma": 0.0, "rho": 0.1}, "sam", {"rho": 0.1}),),
    defaults={"cifar100": {"rho": 0.2, "sigma": 1.0, "lam": 0.6}},
    published=(
        published.FRIENDLY_SAM.result(81.19, rho=0.2, lam=0.6),
        published.FRIENDLY_SAM.result(81.32, rho=0.2, lam=0.95),
    ),
    notes="With a gradient that does not change (full batch at a stationary point) the direction is rounding noise.",
)
class FSAM(SAM):
    r"""Friendly sharpness-aware minimization.

    .. math::
        d_t = g_t - \sigma m_{t-1}, \qquad m_t = \lambda m_{t-1} + (1 - \lambda) g_t, \qquad
        w_{t+1} = \mathrm{base}(w_t, \nabla f_{S_t}(w_t + \rho \, d_t / \|d_t\|))

    with :math:`g_t = \nabla f_{S_t}(w_t)`. On the first step there is no average yet: d = g and m = g.

    Departs from the original code in nothing but the averages' place: they are part of ``state_dict``.
    ``pytorch_optimizer.FriendlySAM`` makes the same steps, to 1e-8 in float64, since it sums norms in float32; it
    expects the caller to have evaluated the first gradient, and has an adaptive ball that this variant does not.

    References:
        Li et al., CVPR 2024, arXiv 2403.12350; code: nblt/F-SAM (class default lam = 0.9, script lam = 0.6, rho = 0.2).
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        with self.perturbed(at, self.ascent(at)):
            worst = self.gradient(closure)
        for p, average in zip(at.params, at.values, strict=True):
            self.own.setdefault(p, {})["average"] = average
        self.descend(worst)
        return at.loss

    def ascent(self, at: Gradient) -> list[Tensor]:
        """Return the perturbation, and turn the gradient in place into the new average."""
        steps: list[Tensor] = []
        for group, params, values in self.groups(at):
            noise = torch._foreach_mul(values, 1.0)
            seen = [i for i, p in enumerate(params) if "average" in self.own.get(p, {})]
            if seen:
                past = [self.own[params[i]]["average"] for i in seen]
                torch._foreach_add_([noise[i] for i in seen], past, alpha=-group["sigma"])
                averages = [values[i] for i in seen]
                torch._foreach_mul_(averages, 1.0 - group["lam"])
                torch._foreach_add_(averages, past, alpha=group["lam"])
            steps += noise
        inverse = 1.0 / (global_norm(steps) + TINY)
        for group, _, noise in self.groups(at.like(steps)):
            torch._foreach_mul_(noise, group["rho"] * inverse)
        return steps
