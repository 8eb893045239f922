"""ASAM: SAM in a ball that scales with the weights."""

import torch
from torch import Tensor

from . import published
from .contract import TINY, Gradient
from .info import Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "asam",
    summary="adaptive SAM: the ball scales with the weights, so rescaling the network does not change sharpness",
    paper=Paper(
        "Kwon, Kim, Park, Choi",
        2021,
        "2102.11600",
        "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural Networks",
        "SamsungLabs/ASAM",
    ),
    gradients=2,
    transient=1,
    needs=("names",),
    hyper={
        "rho": Hyper(0.5, "radius in the normalized coordinates", low=0, search=(0.1, 5.0, "log")),
        "eta": Hyper(0.01, "floor of the scaling of a weight", low=0),
        "scale_all": Hyper(False, "scale every parameter by |w|, without a floor (the reading of davda54/sam)"),
    },
    neutral={"rho": 0.0},
    defaults={"cifar10": {"rho": 0.5}, "cifar100": {"rho": 1.0}},
    published=(
        published.ASAM_ISSUE.result(97.63, rho=0.5),
        published.DAVDA54.result(97.45, rho=2.0, scale_all=True),
        published.ASAM_ISSUE.result(97.25, rho=0.5, scale_all=True),
        published.ASAM_ISSUE.result(97.31, rho=1.0, scale_all=True),
        published.ASAM_ISSUE.result(97.45, rho=2.0, scale_all=True),
        published.ASAM_ISSUE.result(97.10, rho=5.0, scale_all=True),
    ),
    notes=(
        "Published radii belong to a reading of T: 0.5 on CIFAR-10 goes with the official one, 2.0 with "
        "scale_all=True. The official example script sets eta=0."
    ),
)
class ASAM(SAM):
    r"""Adaptive sharpness-aware minimization.

    .. math::
        \epsilon = \rho\, T^2 g / \|T g\|_2, \qquad T = |w| + \eta \text{ on weights}, \quad T = 1 \text{ elsewhere}

    A parameter is a weight when its own name contains "weight": those of convolutions, linear layers and recurrent
    layers, and the scales of normalization layers. ``scale_all=True`` is the other published reading: T = |w| on every
    parameter. T is taken at the unperturbed weights and does not carry a gradient.

    Departs from the official code by looking at a parameter's own name, where that code finds "weight" in the whole
    path and so takes a bias of a layer called "weights" for a weight; and by 1e-12 in the denominator (there 1e-16).

    References:
        Kwon et al. 2021, arXiv 2102.11600; code: SamsungLabs/ASAM. The two readings: davda54/sam issue 37.
    """

    def ascent(self, at: Gradient) -> list[Tensor]:
        gradients: list[Tensor] = []
        scales: list[Tensor] = []
        for group, params, values in self.groups(at):
            everything = group["scale_all"]
            scaled = [i for i, p in enumerate(params) if everything or self.owners[p].is_weight]
            if scaled:
                sizes = torch._foreach_abs([params[i] for i in scaled])
                if not everything:
                    torch._foreach_add_(sizes, group["eta"])
                gradients += [values[i] for i in scaled]
                scales += sizes
        if scales:
            torch._foreach_mul_(gradients, scales)  # in place: at.values is now T g
        inverse = 1.0 / (at.norm() + TINY)
        if scales:
            torch._foreach_mul_(gradients, scales)  # and now T^2 g
        for group, _, values in self.groups(at):
            torch._foreach_mul_(values, group["rho"] * inverse)
        return at.values
