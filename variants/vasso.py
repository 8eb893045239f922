"""VaSSO: SAM whose ascent direction is a running average of gradients."""

from typing import Any

import torch
from torch import Tensor

from .contract import TINY, Gradient, global_norm
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "vasso",
    summary="SAM that ascends along an exponential average of gradients, to suppress the variance of the direction",
    paper=Paper(
        "Li, Giannakis",
        2023,
        "2309.15639",
        "Enhancing Sharpness-Aware Optimization Through Variance Suppression",
        "BingcongLi/VaSSO",
    ),
    gradients=2,
    state=1,
    transient=2,
    hyper={
        "rho": Hyper(0.1, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "theta": Hyper(0.9, "weight of the new gradient in the average", low=0, high=1, search=(0.1, 1.0, "linear")),
    },
    neutral={"rho": 0.0},
    identities=(Identity({"theta": 1.0, "rho": 0.1}, "sam", {"rho": 0.1}),),
    defaults={"cifar100": {"rho": 0.2, "theta": 0.9}},
    notes="theta weighs the new gradient, so 0.9 averages little; F-SAM's lam of the same value averages much.",
)
class VaSSO(SAM):
    r"""Variance-suppressed sharpness-aware optimization.

    .. math::
        d_t = (1 - \theta) d_{t-1} + \theta g_t, \quad d_0 = g_0, \quad g_t = \nabla f_{S_t}(w_t), \qquad
        w_{t+1} = \mathrm{base}(w_t, \nabla f_{S_t}(w_t + \rho \, d_t / \|d_t\|))

    Departs from the original code by c = 1e-12 in the denominator (there 1e-7), by leaving the running statistics of
    BatchNorm alone in the second pass, and by keeping only d between steps (there the perturbation is saved too).

    References:
        Li and Giannakis, NeurIPS 2023, arXiv 2309.15639; code: BingcongLi/VaSSO, whose default is theta = 0.9 and whose
        script for CIFAR-100 has rho = 0.2.
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        with self.perturbed(at, self.ascent(at)):
            worst = self.gradient(closure)
        for p, direction in zip(at.params, at.values, strict=True):
            self.own.setdefault(p, {})["direction"] = direction
        self.descend(worst)
        return at.loss

    def ascent(self, at: Gradient) -> list[Tensor]:
        """Turn the gradient in place into the new average, and return the perturbation along it."""
        for group, params, values in self.groups(at):
            seen = [i for i, p in enumerate(params) if "direction" in self.own.get(p, {})]
            if seen:
                averages = [values[i] for i in seen]
                torch._foreach_mul_(averages, group["theta"])
                past = [self.own[params[i]]["direction"] for i in seen]
                torch._foreach_add_(averages, past, alpha=1.0 - group["theta"])
        inverse = 1.0 / (global_norm(at.values) + TINY)
        return [
            step for group, _, values in self.groups(at) for step in torch._foreach_mul(values, group["rho"] * inverse)
        ]
