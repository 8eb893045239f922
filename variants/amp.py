"""AMP: unnormalized ascent steps, clipped to a ball around each parameter tensor."""

from typing import Any

import torch
from torch import Tensor

from .awp import tensor_norms
from .contract import TINY, Gradient, StepRule
from .info import Identity, Paper
from .registry import Hyper, register


@register(
    "amp",
    summary="adversarial model perturbation: plain ascent steps, clipped to a ball for each parameter tensor",
    paper=Paper(
        "Zheng, Zhang, Mao",
        2020,
        "2010.04925",
        "Regularizing Neural Networks via Adversarial Model Perturbation",
        "hiyouga/AMP-Regularizer",
    ),
    gradients=lambda hyper: 1 + hyper["inner_steps"],
    transient=2,
    hyper={
        "epsilon": Hyper(0.5, "radius of the ball of a parameter tensor, L2 norm", low=0, search=(0.05, 2.0, "log")),
        "inner_lr": Hyper(1.0, "step size of the ascent", low=0, search=(0.1, 10.0, "log")),
        "inner_steps": Hyper(1, "number of ascent steps", low=0),
    },
    neutral={"epsilon": 0.0},
    identities=(
        Identity({"inner_steps": 0}, "sgd"),
        Identity({"epsilon": 1e6, "inner_lr": 0.1}, "usam", {"rho": 0.1}),
    ),
    defaults={name: {"epsilon": 0.5, "inner_lr": 1.0, "inner_steps": 1} for name in ("cifar10", "cifar100")},
    notes=(
        "The perturbation is clipped, not normalized: where gradients are smaller than epsilon this is USAM. The "
        "original script has batches of 50 and clips each gradient at 50, also those of the ascent. Its README's "
        "command is for CIFAR-100 (PreActResNet-18); for CIFAR-10 these are the script's defaults. inner_steps is read "
        "from the first parameter group."
    ),
)
class AMP(StepRule):
    r"""Adversarial model perturbation.

    .. math::
        \delta_0 = 0, \qquad
        \delta_{n+1,l} = \Pi_\varepsilon\big(\delta_{n,l} + \zeta \, \nabla_l f_S(w_t + \delta_n)\big)
        \text{ for each tensor } l, \qquad w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \delta_N))

    :math:`\Pi_\varepsilon` scales a tensor down to the norm :math:`\varepsilon` if it is longer; :math:`\zeta` is
    ``inner_lr`` and N is ``inner_steps``.

    Departs from the original code by updating the running statistics of BatchNorm in one pass only, by undoing the
    perturbation from a copy, and by clipping gradients, if at all, in the descent alone.

    References:
        Zheng et al., CVPR 2021, arXiv 2010.04925; code: hiyouga/AMP-Regularizer.
    """

    def update(self, closure: Any) -> Tensor:
        at = ascent = self.gradient(closure)
        delta: list[Tensor] = []
        for _ in range(self.param_groups[0]["inner_steps"]):
            delta = self.advance(delta, ascent)
            with self.perturbed(ascent, delta):
                ascent = self.gradient(closure)
        self.descend(ascent)
        return at.loss

    def advance(self, delta: list[Tensor], ascent: Gradient) -> list[Tensor]:
        """Return the next perturbation; the gradient's own tensors become it."""
        for group, _, values in self.groups(ascent):
            torch._foreach_mul_(values, group["inner_lr"])
        if delta:
            torch._foreach_add_(ascent.values, delta)
        for group, _, values in self.groups(ascent):
            scales = tensor_norms(values)
            torch._foreach_add_(scales, TINY)
            torch._foreach_reciprocal_(scales)
            torch._foreach_mul_(scales, group["epsilon"])
            torch._foreach_clamp_max_(scales, 1.0)
            torch._foreach_mul_(values, scales)
        return ascent.values
