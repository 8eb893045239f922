"""WSAM: sharpness as a regularization term with a weight of its own."""

from typing import Any

import torch
from torch import Tensor

from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "wsam",
    summary="weights SAM's sharpness term g_p - g by gamma/(1-gamma), beside the base step or inside its gradient",
    paper=Paper(
        "Yue, Jiang, Ye, Gao, Liu, Zhang",
        2023,
        "2305.15817",
        "Sharpness-Aware Minimization Revisited: Weighted Sharpness as a Regularization Term",
        "intelligent-machine-learning/atorch",
    ),
    gradients=2,
    transient=2,
    hyper={
        "rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "gamma": Hyper(
            0.9, "weight gamma/(1-gamma) of the sharpness term", low=0, high=0.99, search=(0.5, 0.8, 0.88, 0.9, 0.95)
        ),
        "decoupled": Hyper(True, "apply the sharpness term beside the base step, out of reach of its momentum"),
    },
    neutral={"rho": 0.0},
    identities=(
        Identity({"gamma": 0.5, "decoupled": False, "rho": 0.1}, "sam", {"rho": 0.1}),
        Identity({"gamma": 0.0, "decoupled": False}, "sgd"),
        Identity({"gamma": 0.0, "decoupled": True}, "sgd"),
        Identity({"gamma": 0.75, "decoupled": False, "rho": 0.1}, "gnp", {"alpha": 3.0, "rho": 0.1}),
    ),
    notes=(
        "gamma=0.9 weights the sharpness nine times. Decoupled, the sharpness term passes neither through momentum or "
        "an adaptive scaling nor through the harness's gradient clipping, which acts on the base step."
    ),
)
class WSAM(SAM):
    r"""Weighted sharpness-aware minimization.

    .. math::
        g = \nabla f_S(w_t), \quad g_p = \nabla f_S(w_t + \rho\, g / \|g\|), \quad a = \gamma / (1 - \gamma)

        \text{coupled:}\quad w_{t+1} = \mathrm{base}(w_t, g + a\,(g_p - g)), \qquad
        \text{decoupled:}\quad w_{t+1} = \mathrm{base}(w_t, g) - \eta\, a\,(g_p - g)

    with the base optimizer's learning rate :math:`\eta`. The coupled form is GNP with alpha = a, and SAM at gamma =
    1/2; on SGD without momentum both forms are one.

    Departs from the original code, whose default clips both gradients at norm 1: here clipping is the harness's.
    ``pytorch_optimizer.WSAM`` (4.1.0) makes the same steps, both forms, but sums the gradient norm in float32 for
    float64 gradients too (2e-9 after 20 steps of a small network).

    References:
        Yue et al., KDD 2023, arXiv 2305.15817; code: intelligent-machine-learning/atorch,
        ``atorch/optimizers/wsam.py``.
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        with self.perturbed(at, self.ascent(at.like([g.clone() for g in at.values]))):
            worst = self.gradient(closure)
        for (group, _, clean), (_, _, perturbed) in zip(self.groups(at), self.groups(worst), strict=True):
            if not group["decoupled"]:
                torch._foreach_lerp_(clean, perturbed, _weight(group))
            else:
                torch._foreach_sub_(perturbed, clean)
        self.descend(at)
        if any(group["decoupled"] for group in self.param_groups):
            self.average(worst)
        for group, params, sharpness in self.groups(worst):
            if group["decoupled"]:
                torch._foreach_mul_(sharpness, group["lr"] * _weight(group))
                torch._foreach_sub_(params, sharpness)
        return at.loss


def _weight(group: dict[str, Any]) -> float:
    return group["gamma"] / (1.0 - group["gamma"])
