"""ZSharp: SAM that ascends along the entries of the gradient that stand out in their layer."""

import math

import torch
from torch import Tensor

from .awp import tensor_norms
from .contract import TINY, Gradient
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


def outstanding(gradient: Tensor, quantile: float) -> Tensor:
    """Return where the absolute z-score reaches its quantile, as a mask of 0 and 1.

    The entries of a tensor share one standard deviation, so the order of |z| is that of the distance to the mean: no
    division, and no NaN where the deviation is 0 or not defined. ``torch.quantile`` is not used: it refuses tensors of
    more than 2^24 entries.

    Example:
        >>> outstanding(torch.tensor([[0.0, 1.0, -5.0, 0.0]]), 0.7).tolist()
        [[0.0, 0.0, 1.0, 0.0]]
    """
    distance = (gradient - gradient.mean()).abs_()
    kept = gradient.numel() - math.ceil(quantile * (gradient.numel() - 1))
    threshold = torch.topk(distance.flatten(), kept, sorted=False).values.min()
    return (distance >= threshold).to(gradient.dtype)


@register(
    "zsharp",
    summary="SAM along the entries of each weight gradient with the largest absolute z-scores",
    paper=Paper(
        "Yun",
        2025,
        "2505.02369",
        "Sharpness-Aware Minimization with Z-Score Gradient Filtering",
        "YUNBLAK/Sharpness-Aware-Minimization-with-Z-Score-Gradient-Filtering",
    ),
    gradients=2,
    transient=1,
    needs=("whole",),
    hyper={
        "rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "quantile": Hyper(0.95, "share of the entries that is left out", low=0, high=1, search=(0.5, 0.8, 0.9, 0.95)),
        "per_layer": Hyper(False, "give each weight tensor the whole radius (the reading of the official code)"),
    },
    neutral={"rho": 0.0},
    identities=(Identity({"quantile": 0.0, "rho": 0.1}, "sam", {"rho": 0.1}),),
    defaults={name: {"rho": 0.05, "quantile": 0.95, "per_layer": True} for name in ("cifar10", "cifar100")},
    notes=(
        "With per_layer=True the perturbation of a network of L weight tensors is longer than rho, by about sqrt(L): a "
        "radius belongs to its reading; the published one to per_layer=True. The paper's base optimizer is Adam."
    ),
)
class ZSharp(SAM):
    r"""Sharpness-aware minimization with z-score gradient filtering.

    .. math::
        \tilde g_l = g_l \cdot [\, |z_l| \ge q_Q(|z_l|) \,], \quad z_l = (g_l - \bar g_l) / s(g_l), \qquad
        \epsilon = \rho \, \tilde g / \|\tilde g\|, \qquad w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \epsilon))

    for each tensor l with more than one dimension, :math:`q_Q` the quantile over its entries; other tensors are left as
    they are, as in the official code. ``per_layer=True`` is that code's ascent:
    :math:`\epsilon_l = \rho \, \tilde g_l / \|\tilde g_l\|` on the filtered tensors and SAM's on the others.

    Departs from that code by keeping the entry at the quantile itself, so that Q = 0 keeps all.

    References:
        Yun 2025, arXiv 2505.02369; code: YUNBLAK/Sharpness-Aware-Minimization-with-Z-Score-Gradient-Filtering.
    """

    def ascent(self, at: Gradient) -> list[Tensor]:
        plain = 1.0 / (at.norm() + TINY)
        for group, _, values in self.groups(at):
            for g in values:
                if g.ndim > 1 and g.numel():
                    g.mul_(outstanding(g, group["quantile"]))
        filtered = 1.0 / (at.norm() + TINY)
        for group, _, values in self.groups(at):
            if not group["per_layer"]:
                torch._foreach_mul_(values, group["rho"] * filtered)
                continue
            for g, norm in zip(values, tensor_norms(values), strict=True):
                g.mul_(group["rho"] * (1.0 / (norm + TINY) if g.ndim > 1 else plain))
        return at.values
