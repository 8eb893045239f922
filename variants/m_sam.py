"""m-SAM: SAM on micro-batches of m samples, each with a perturbation of its own."""

from typing import Any

import torch
from torch import Tensor

from .contract import Gradient
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


def accumulate(total: Gradient | None, part: Gradient, share: float) -> Gradient:
    """Add a share of a gradient to the sum so far; the gradient's own tensors are spent."""
    if part.values:
        torch._foreach_mul_(part.values, share)
    if total is None:
        return part
    if part.values:
        torch._foreach_add_(total.values, part.values)
        part.values.clear()
    return total


@register(
    "m_sam",
    summary="SAM on micro-batches of m samples, whose gradients at their own perturbed weights are averaged",
    paper=Paper(
        "Foret, Kleiner, Mobahi, Neyshabur; Andriushchenko, Flammarion",
        2022,
        "2206.06232",
        "Towards Understanding Sharpness-Aware Minimization",
        "tml-epfl/understanding-sam",
    ),
    gradients=2,
    transient=2,
    needs=("subset", "ids"),
    hyper={
        "rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "m": Hyper(32, "samples in a micro-batch", low=1, search=(8, 16, 32, 64)),
    },
    neutral={"rho": 0.0, "m": 1_000_000},
    identities=(Identity({"m": 1_000_000, "rho": 0.1}, "sam", {"rho": 0.1}),),
    defaults={"cifar10": {"rho": 0.05}, "cifar100": {"rho": 0.1}},
    notes=(
        "BatchNorm normalizes each micro-batch by its own m samples (ghost batch normalization), and its running "
        "statistics see the first micro-batch only: this confounds the effect of m, which models with group "
        "normalization show alone. m is read from the first parameter group. Published radii are SAM's."
    ),
)
class MicroBatchSAM(SAM):
    r"""Sharpness-aware minimization of m-sharpness.

    .. math::
        w_{t+1} = \mathrm{base}\Big(w_t, \sum_k \frac{|S_k|}{B} \nabla f_{S_k}(w_t + \rho \, g_k / \|g_k\|)\Big),
        \qquad g_k = \nabla f_{S_k}(w_t)

    The batch of B samples is cut into micro-batches :math:`S_k` of m in their order, the last one smaller when m does
    not divide B; with m >= B this is SAM. Training on several devices without synchronizing the first gradient, as
    published results of SAM do, is m-SAM with m = B / devices.

    Departs from the original code, which accumulates micro-batches of equal size, by weighting them by their size.

    References:
        Foret et al., ICLR 2021, section 4.1, arXiv 2010.01412; Andriushchenko and Flammarion, ICML 2022, arXiv
        2206.06232; code: tml-epfl/understanding-sam (``--acc_steps``).
    """

    def update(self, closure: Any) -> Tensor:
        ids, m = self.ask(closure, "ids"), self.param_groups[0]["m"]
        if m >= len(ids):
            return super().update(closure)
        loss, total = torch.zeros((), device=ids.device), None
        for part in torch.arange(len(ids), device=ids.device).split(m):
            at = self.gradient(closure, subset=part)
            with self.perturbed(at, self.ascent(at)):
                at.values.clear()
                worst = self.gradient(closure, subset=part)
            share = len(part) / len(ids)
            loss = loss + share * at.loss
            total = accumulate(total, worst, share)
        if total is not None:
            self.descend(total)
        return loss
