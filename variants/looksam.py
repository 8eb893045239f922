"""LookSAM: SAM's gradient every k-th step, and its sharpness direction reused between."""

from typing import Any

import torch
from torch import Tensor

from .contract import TINY, Gradient, global_norm
from .info import Identity, Paper
from .projection import orthogonal
from .registry import Hyper, register
from .sam import SAM


@register(
    "looksam",
    summary="SAM every k-th step; between, the gradient plus the stored part of SAM's that is orthogonal to it",
    paper=Paper(
        "Liu, Mai, Chen, Hsieh, You",
        2022,
        "2203.02714",
        "Towards Efficient and Scalable Sharpness-Aware Minimization",
    ),
    gradients=lambda hyper: 1 + 1 / hyper["k"],
    state=1,
    transient=3,
    hyper={
        "rho": Hyper(0.1, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "k": Hyper(5, "steps from one SAM gradient to the next", low=1, search=(2, 5, 10)),
        "alpha": Hyper(
            0.7, "length of the reused direction, in units of the gradient's norm", low=0, search=(0.5, 0.7, 1.0)
        ),
    },
    neutral={"rho": 0.0, "alpha": 0.0},
    identities=(Identity({"k": 1, "rho": 0.1}, "sam", {"rho": 0.1}),),
    defaults={"cifar100": {"k": 10, "alpha": 0.7}},
    status="reimplementation, unverified",
    notes=(
        "The authors' repository holds no code; the defaults are those of the ports. The reused direction has length "
        "alpha ||g|| however short the stored one was: at rho = 0 it is scaled rounding noise, so that only rho = 0 "
        "together with alpha = 0 is the base optimizer. k is the first group's; the first step is a SAM step."
    ),
)
class LookSAM(SAM):
    r"""Look-ahead sharpness-aware minimization.

    .. math::
        \text{every } k \text{ steps:}\quad g_s = \nabla f_S(w_t + \rho\, g / \|g\|), \quad
        g_v = g_s - \langle g_s, \hat g \rangle\, \hat g, \quad w_{t+1} = \mathrm{base}(w_t, g_s)

        \text{between:}\quad w_{t+1} = \mathrm{base}\big(w_t,\; g + \alpha\, \tfrac{\|g\|}{\|g_v\|}\, g_v\big)

    with :math:`g = \nabla f_S(w_t)` and :math:`\hat g = g / \|g\|`. Norms and inner products run over all parameters
    together, as the paper's vectors do. Between refreshes the closure is called once.

    Ports differ: rollovd/LookSAM and ``pytorch_optimizer.LookSAM`` (4.1.0) decompose tensor by tensor, and the latter
    evaluates both gradients on every step, so that nothing is saved; Leminhbinh0209/LookSAM and MarlonBecker/MSAM
    decompose globally, as here.

    References:
        Liu et al., CVPR 2022, arXiv 2203.02714; ports: see above (k = 10, alpha = 0.7 for CIFAR-100:
        MarlonBecker/MSAM).
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        due = self.steps % self.param_groups[0]["k"] == 0
        self.descend(self.sharp(at, closure) if due else self.flat(at))
        return at.loss

    def sharp(self, at: Gradient, closure: Any) -> Gradient:
        """Return SAM's gradient, and keep its part orthogonal to the gradient."""
        with self.perturbed(at, self.ascent(at.like([g.clone() for g in at.values]))):
            worst = self.gradient(closure)
        for p, across in zip(at.params, orthogonal(worst.values, at.values), strict=True):
            self.own.setdefault(p, {})["across"] = across
        return worst

    def flat(self, at: Gradient) -> Gradient:
        """Return the gradient with the stored direction added in place; a parameter that has none keeps its own."""
        across = [self.own.get(p, {}).get("across") for p in at.params]
        stretch = at.norm() / (global_norm([kept for kept in across if kept is not None]) + TINY)
        stored = iter(across)
        for group, _, values in self.groups(at):
            pairs = [(g, kept) for g in values if (kept := next(stored)) is not None]
            if pairs:
                steps = torch._foreach_mul([kept for _, kept in pairs], group["alpha"] * stretch)
                torch._foreach_add_([g for g, _ in pairs], steps)
        return at
