"""Det-SAM: a scale-invariant sharpness, the determinant of the Hessian."""

from typing import Any

import torch
from torch import Tensor

from .registry import Hyper, register
from .universal_sam import PAPER, UniversalSAM


@register(
    "det_sam",
    summary="weighs gradients at randomly perturbed weights so as to penalize the determinant of the Hessian",
    paper=PAPER,
    gradients=lambda hyper: 1 + hyper["samples"],
    transient=2,
    hyper={
        "rho": Hyper(1.0, "scale of the perturbation and of the gaps", low=0, above=True, search=(0.1, 1.0, "log")),
        "half_side": Hyper(0.01, "half the side of the cube that is sampled", low=0, search=(1e-3, 0.1, "log")),
        "lam": Hyper(1.0, "weight of the sharpness", low=0, search=(0.1, 1.0, "log")),
        "samples": Hyper(1, "number n of perturbations", low=1),
    },
    neutral={"lam": 0.0},
    defaults={"cifar10": {"rho": 1.0, "half_side": 0.01, "lam": 1.0, "samples": 1}},
    notes=(
        "The constant (2 pi)^d of the determinant is left to lam, as in the released code. The measure is the "
        "determinant in the limit of a cube much wider than the curvature's scale; published cubes are narrow."
    ),
)
class DetSAM(UniversalSAM):
    r"""The measure of the universal class with :math:`S = m^{-2}`, m the mean of :math:`\psi_j = e^{-\delta_j / 2}`.

    .. math::
        c_j = \frac{\partial}{\partial \delta_j} m^{-2} = \frac{\psi_j}{n\, m^3}, \qquad u \sim U[-h, h]^d

    With :math:`\mu` Lebesgue's measure m is a Gaussian integral, proportional to :math:`\det(H)^{-1/2}`, and S to the
    determinant. The cube replaces the infinite measure.

    Departs from the released code in nothing but the exact restoration of the weights.

    References:
        Tahmasebi et al., ICML 2024, arXiv 2406.03682; code: dbahri/universal_sam (README: CIFAR-10, ResNet-18, lr 0.1).
    """

    def direction(self, group: dict[str, Any], p: Tensor, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(p.shape, generator=generator, device=generator.device).to(p)
        return uniform.mul_(2.0).sub_(1.0).mul_(group["half_side"])

    def weights(self, gaps: Tensor) -> Tensor:
        psi = torch.exp(-gaps / 2.0)
        return psi / (len(gaps) * psi.mean() ** 3)
