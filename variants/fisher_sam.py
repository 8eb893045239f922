"""Fisher SAM: SAM in an ellipsoid that the Fisher information shapes."""

import torch
from torch import Tensor

from .contract import TINY, Gradient
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "fisher_sam",
    summary="SAM in the ellipsoid of a diagonal Fisher information, estimated by the squared batch gradient",
    paper=Paper(
        "Kim, Li, Hu, Hospedales",
        2022,
        "2206.04920",
        "Fisher SAM: Information Geometry and Sharpness Aware Minimisation",
    ),
    gradients=2,
    transient=1,
    hyper={
        "rho": Hyper(0.1, "radius in the Fisher metric (gamma in the paper)", low=0, search=(0.01, 0.5, "log")),
        "eta": Hyper(1.0, "weight of the Fisher information in the metric", low=0, search=(0.01, 1e4, "log")),
    },
    neutral={"rho": 0.0},
    identities=(Identity({"eta": 0.0, "rho": 0.1}, "sam", {"rho": 0.1}),),
    status="reimplementation, unverified",
    notes=(
        "No official code; the estimate of the Fisher information and both default values follow an unofficial port. "
        "Entries of a batch gradient are small, so that with eta = 1 the metric is the identity to within g^2 and the "
        "variant is SAM in all but name: a search should reach eta ~ 1/g^2."
    ),
)
class FisherSAM(SAM):
    r"""Sharpness-aware minimization in the geometry of the Fisher information.

    .. math::
        \epsilon = \rho \, \frac{F^{-1} g}{\sqrt{g^\top F^{-1} g}}, \qquad F = 1 + \eta \, g^2 \text{ (diagonal)},
        \qquad w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \epsilon))

    The ball is :math:`\epsilon^\top F \epsilon \le \rho^2`: a coordinate with a large gradient moves less than in SAM.

    There is no original code to depart from. The paper leaves open here whether the square is that of the batch
    gradient or the mean of the squares of single samples' gradients; the former needs no further evaluation.

    References:
        Kim et al., ICML 2022, arXiv 2206.04920.
    """

    def ascent(self, at: Gradient) -> list[Tensor]:
        roots: list[Tensor] = []
        for group, _, values in self.groups(at):
            metric = torch._foreach_mul(values, values)
            torch._foreach_mul_(metric, group["eta"])
            torch._foreach_add_(metric, 1.0)
            torch._foreach_sqrt_(metric)
            roots += metric
        if roots:
            torch._foreach_div_(at.values, roots)  # in place: at.values is now F^(-1/2) g, whose norm is wanted
        inverse = 1.0 / (at.norm() + TINY)
        if roots:
            torch._foreach_div_(at.values, roots)
        for group, _, values in self.groups(at):
            torch._foreach_mul_(values, group["rho"] * inverse)
        return at.values
