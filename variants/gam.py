"""GAM: first-order flatness, the largest gradient norm in a ball."""

from typing import Any

import torch
from torch import Tensor

from .contract import TINY, Gradient, StepRule
from .info import Identity, Paper
from .projection import orthogonal
from .registry import Hyper, register


@register(
    "gam",
    summary="descends on the largest gradient norm in a ball (first-order flatness), with four gradients a step",
    paper=Paper(
        "Zhang, Xu, Yu, Zou, Cui",
        2023,
        "2303.03108",
        "Gradient Norm Aware Minimization Seeks First-Order Flatness and Improves Generalization",
        "xxgege/GAM",
    ),
    gradients=4,
    transient=5,
    hyper={
        "rho": Hyper(0.2, "radius of the ascent on the gradient norm", low=0, search=(0.02, 0.5, "log")),
        "rho_inner": Hyper(0.02, "radius of the finite differences", low=0, search=(0.01, 0.1, "log")),
        "beta1": Hyper(
            0.6, "weight of g1 in the descent direction; 1 - beta1 is g3's", low=0, high=1, search=(0.1, 0.9, "linear")
        ),
        "beta2": Hyper(0.5, "weight of g2 in the direction that is projected", low=0, high=1),
        "gamma": Hyper(0.03, "weight of the projected direction", low=0, search=(0.01, 0.1, "log")),
    },
    neutral={"rho": 0.0, "rho_inner": 0.0, "beta1": 1.0, "gamma": 0.0},
    identities=(Identity({"beta1": 1.0, "gamma": 0.0, "rho_inner": 0.1}, "sam", {"rho": 0.1}),),
    defaults={
        "cifar10": {"rho": 0.2, "rho_inner": 0.03, "beta1": 0.1, "beta2": 0.9, "gamma": 0.05},
        "cifar100": {"rho": 0.2, "rho_inner": 0.02, "beta1": 0.6, "beta2": 0.5, "gamma": 0.03},
    },
    notes=(
        "At rho = rho_inner = 0 and gamma = 0 the direction is the gradient, up to rounding unless beta1 is 0 or 1. "
        "The released code's command line says beta1 = beta3 = 1, which would double the step, but its main() "
        "overwrites them: beta3 is always 1 - beta1, as here, and beta2 is 1 - beta0. Its ResNet values for CIFAR-100 "
        "are the defaults here."
    ),
)
class GAM(StepRule):
    r"""Gradient-norm-aware minimization, in the accelerated form of the released code.

    .. math::
        g_0 = \nabla f(w), \quad g_1 = \nabla f(w + \rho'\, \hat g_0), \quad w_2 = w + \rho\, \widehat{(g_1 - g_0)},
        \quad g_2 = \nabla f(w_2), \quad g_3 = \nabla f(w_2 + \rho'\, \hat g_2)

        G = \beta_1 g_1 + (1 - \beta_1)\, g_3, \qquad p = g_0 + \beta_2\, g_2, \qquad
        w_{t+1} = \mathrm{base}\big(w,\; G - \gamma\,(p - \langle p, \hat G \rangle\, \hat G)\big)

    with hats for unit vectors and the same batch throughout. :math:`g_1 - g_0` is a finite difference for the gradient
    of :math:`\|\nabla f\|`, so that w_2 climbs on the gradient norm.

    Departs from the original code: one norm constant (1e-12), and weights that come back bit for bit.

    References:
        Zhang et al., CVPR 2023, arXiv 2303.03108; code: xxgege/GAM, ``gam/gam.py`` and ``main_cifar.py``.
    """

    def update(self, closure: Any) -> Tensor:
        g0 = self.gradient(closure)
        with self.perturbed(g0, self._towards(g0, "rho_inner")):
            g1 = self.gradient(closure)
        with self.perturbed(
            g0, self._towards(g0.like([b - a for a, b in zip(g0.values, g1.values, strict=True)]), "rho")
        ):
            g2 = self.gradient(closure)
            with self.perturbed(g2, self._towards(g2, "rho_inner")):
                g3 = self.gradient(closure)
        every = zip(self.groups(g0), self.groups(g1), self.groups(g2), self.groups(g3), strict=True)
        for (group, _, v0), (_, _, v1), (_, _, v2), (_, _, v3) in every:
            torch._foreach_add_(v0, v2, alpha=group["beta2"])  # p
            torch._foreach_mul_(v1, group["beta1"])
            torch._foreach_add_(v1, v3, alpha=1.0 - group["beta1"])  # G
        across = g0.like(orthogonal(g0.values, g1.values))
        for (group, _, direction), (_, _, rest) in zip(self.groups(g1), self.groups(across), strict=True):
            torch._foreach_sub_(direction, rest, alpha=group["gamma"])
        self.descend(g1)
        return g0.loss

    def _towards(self, direction: Gradient, radius: str) -> list[Tensor]:
        """Return a step of the given radius along a direction; the direction is kept."""
        inverse = 1.0 / (direction.norm() + TINY)
        return [
            step
            for group, _, values in self.groups(direction)
            for step in torch._foreach_mul(values, group[radius] * inverse)
        ]
