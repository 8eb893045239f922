"""Trace-SAM: the mean loss around the weights, which penalizes the trace of the Hessian."""

import torch
from torch import Tensor

from .registry import Hyper, register
from .universal_sam import PAPER, UniversalSAM


@register(
    "trace_sam",
    summary="descends on the mean loss at randomly perturbed weights, which penalizes the trace of the Hessian",
    paper=PAPER,
    gradients=lambda hyper: 1 + hyper["samples"],
    transient=2,
    hyper={
        "rho": Hyper(
            0.01, "standard deviation of each weight's perturbation", low=0, above=True, search=(1e-3, 0.1, "log")
        ),
        "lam": Hyper(1.0, "weight of the sharpness", low=0, search=(0.1, 1.0, "log")),
        "samples": Hyper(1, "number n of perturbations", low=1),
    },
    neutral={"lam": 0.0},
    defaults={"cifar10": {"rho": 0.01, "lam": 1.0, "samples": 1}},
    notes=(
        "rho is a size per weight, not a radius: the perturbation's norm is about rho times the square root of the "
        "number of weights. The default lam=1 drops the gradient at the weights themselves."
    ),
)
class TraceSAM(UniversalSAM):
    r"""The measure of the universal class with :math:`S = \frac1n \sum_j \delta_j`.

    .. math:: c_j = 1 / n, \qquad u \sim N(0, I), \qquad E[S] \to \mathrm{tr}(H) / 2

    Departs from the released code in nothing but the exact restoration of the weights. The sampler that the code calls
    ``_sample_hypersphere`` computes a normalization and does not apply it; its published ``rho`` belongs to the normal
    distribution, which is therefore the one here.

    References:
        Tahmasebi et al., ICML 2024, arXiv 2406.03682; code: dbahri/universal_sam (README: CIFAR-10, ResNet-18, lr 0.1).
    """

    def weights(self, gaps: Tensor) -> Tensor:
        return torch.full_like(gaps, 1.0 / len(gaps))
