"""Functional SAM: SAM's perturbation of the network, without its perturbation of the loss."""

from typing import Any

from torch import Tensor

from .info import Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "functional_sam",
    summary="back-propagates the loss derivative of the unperturbed logits through the perturbed network",
    paper=Paper(
        "Singh, Mobahi, Agarwala, Dauphin",
        2025,
        "2502.02407",
        "Avoiding spurious sharpness minimization broadens applicability of SAM",
    ),
    gradients=2,
    transient=1,
    needs=("logits",),
    hyper={"rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log"))},
    neutral={"rho": 0.0},
    status="reimplementation, unverified",
    notes=(
        "No code was released and no radius published for images; the default is SAM's. BatchNorm normalizes each pass "
        "by its own batch, so the two factors of the gradient belong to slightly different networks."
    ),
)
class FunctionalSAM(SAM):
    r"""Functional sharpness-aware minimization.

    .. math::
        w_{t+1} = \mathrm{base}\Big(w_t,\; J(w_t + \epsilon)^\top\, \nabla_z \ell\,\big|_{z = F(w_t)}\Big), \qquad
        \epsilon = \rho\, g / \|g\|, \quad g = \nabla f_S(w_t) = J(w_t)^\top\, \nabla_z \ell\,\big|_{z = F(w_t)}

    with F the logits of the batch and J their derivative by the weights. SAM's gradient also moves the second factor to
    the perturbed logits; that part, the paper says, minimizes sharpness by scaling logits rather than by changing the
    function.

    The form without preconditioning; on an adaptive base optimizer the paper also preconditions :math:`\epsilon`.

    References:
        Singh et al. 2025, arXiv 2502.02407; no code released.
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        cotangent = self.ask(closure, "cotangent")()
        with self.perturbed(at, self.ascent(at)):
            at.values.clear()
            functional = self.gradient(closure, cotangent=cotangent)
        self.descend(functional)
        return at.loss
