"""Frob-SAM: the variance of the loss around the weights, which penalizes the Frobenius norm of the Hessian."""

from torch import Tensor

from .registry import Hyper, register
from .universal_sam import PAPER, UniversalSAM


@register(
    "frob_sam",
    summary="penalizes the variance of the loss at randomly perturbed weights: the Hessian's squared Frobenius norm",
    paper=PAPER,
    gradients=lambda hyper: 1 + hyper["samples"],
    transient=3,
    hyper={
        "rho": Hyper(
            0.005, "standard deviation of each weight's perturbation", low=0, above=True, search=(1e-3, 0.1, "log")
        ),
        "lam": Hyper(0.005, "weight of the sharpness", low=0, search=(1e-4, 0.1, "log")),
        "samples": Hyper(2, "number n of perturbations, for a sample variance", low=2),
    },
    neutral={"lam": 0.0},
    defaults={"cifar10": {"rho": 0.005, "lam": 0.005, "samples": 2}},
    notes=(
        "The variance also holds the first-order term ||g||^2 / rho^2, which outweighs the Hessian's wherever the "
        "gradient is not small. rho is a size per weight, not a radius."
    ),
)
class FrobSAM(UniversalSAM):
    r"""The measure of the universal class with S half the sample variance of the gaps.

    .. math::
        S = \frac{1}{2 (n - 1)} \sum_j (\delta_j - \bar\delta)^2, \qquad c_j = \frac{\delta_j - \bar\delta}{n - 1},
        \qquad u \sim N(0, I), \qquad E[S] \to \|H\|_F^2 / 4

    since :math:`\mathrm{Var}(u^\top H u) = 2 \|H\|_F^2`. The weights sum to zero, so g itself has no part in the sum.

    Departs from the released code in nothing but the exact restoration of the weights; it writes the same direction as
    :math:`\lambda / \rho^2` times the sample covariance of losses and gradients.

    References:
        Tahmasebi et al., ICML 2024, arXiv 2406.03682; code: dbahri/universal_sam (README: CIFAR-10, ResNet-18, lr 0.1).
    """

    def weights(self, gaps: Tensor) -> Tensor:
        return (gaps - gaps.mean()) / (len(gaps) - 1)
