"""GNP: a penalty on the gradient norm, by one finite difference."""

from typing import Any

import torch
from torch import Tensor

from .contract import TINY
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "gnp",
    summary="penalizes the gradient norm: interpolates between the gradient and SAM's",
    paper=Paper(
        "Zhao, Zhang, Hu",
        2022,
        "2202.03599",
        "Penalizing Gradient Norm for Efficiently Improving Generalization in Deep Learning",
        "zhaoyang-0204/gnp",
    ),
    gradients=2,
    transient=2,
    hyper={
        "rho": Hyper(0.1, "radius of the finite difference (r in the paper)", low=0, search=(0.01, 0.5, "log")),
        "alpha": Hyper(
            0.8, "weight of the perturbed gradient: penalty over radius", low=0, search=(0.2, 0.4, 0.6, 0.8, 1.0)
        ),
        "unit_first": Hyper(False, "use g/||g|| for g in the first term (what the released code does by default)"),
    },
    neutral={"rho": 0.0},
    identities=(
        Identity({"alpha": 1.0, "rho": 0.1}, "sam", {"rho": 0.1}),
        Identity({"alpha": 1.0, "rho": 0.1, "unit_first": True}, "sam", {"rho": 0.1}),
        Identity({"alpha": 0.0}, "sgd"),
        Identity({"alpha": 0.8, "rho": 0.1}, "wsam", {"gamma": 0.8 / 1.8, "decoupled": False, "rho": 0.1}),
    ),
    defaults={name: {"rho": 0.1, "alpha": 0.8, "unit_first": True} for name in ("cifar10", "cifar100")},
    notes=(
        "The released recipes train with unit_first=True (norm_perturbations), and so do the published settings; paper "
        "and README state the formula with g, which is the default here. The recipe also puts a weight decay of 1e-3 "
        "into the loss (weight_decay_mode='in_loss'), clips at 5 and uses Nesterov momentum. With unit_first=True, "
        "rho=0 is not the base optimizer."
    ),
)
class GNP(SAM):
    r"""Gradient norm penalty.

    .. math::
        w_{t+1} = \mathrm{base}(w_t, (1 - \alpha)\, g + \alpha\, g_p), \quad
        g = \nabla f_S(w_t), \quad g_p = \nabla f_S(w_t + \rho\, g / \|g\|)

    the gradient of :math:`f + \lambda \|\nabla f\|` with the Hessian-vector product replaced by a difference over
    :math:`\rho`, :math:`\alpha = \lambda / \rho`. ``unit_first``: (1 - alpha) g / ||g|| + alpha g_p.

    Departs from the original code by the default of ``unit_first``, and by 1e-12 in the denominator.

    References:
        Zhao, Zhang and Hu, ICML 2022, arXiv 2202.03599; code: zhaoyang-0204/gnp (``gnp.norm_perturbations`` and
        ``get_gnp_gradient``).
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        inverse = 1.0 / (at.norm() + TINY)
        with self.perturbed(at, self.ascent(at.like([g.clone() for g in at.values]))):
            worst = self.gradient(closure)
        for (group, _, first), (_, _, second) in zip(self.groups(at), self.groups(worst), strict=True):
            if group["unit_first"]:
                torch._foreach_mul_(first, inverse)
            torch._foreach_lerp_(first, second, group["alpha"])
        self.descend(at)
        return at.loss
