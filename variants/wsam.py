"""WSAM: sharpness as a weighted regularization term."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import _global_optimizer_pre_hooks

from .contract import TINY, Gradient
from .info import Identity, Paper
from .projection import inner
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
        "decoupled": Hyper(
            True, "apply the sharpness term beside the base step, so that its momentum does not hold it"
        ),
    },
    neutral={"rho": 0.0},
    identities=(
        Identity({"gamma": 0.5, "decoupled": False, "rho": 0.1}, "sam", {"rho": 0.1}),
        Identity({"gamma": 0.0, "decoupled": False}, "sgd"),
        Identity({"gamma": 0.0, "decoupled": True}, "sgd"),
        Identity({"gamma": 0.75, "decoupled": False, "rho": 0.1}, "gnp", {"alpha": 3.0, "rho": 0.1}),
    ),
    defaults={"cifar10": {"rho": 0.2, "gamma": 0.9, "decoupled": True}},
    notes=(
        "gamma=0.9 weights the sharpness nine times. Decoupled, the sharpness term passes neither through momentum nor "
        "through an adaptive scaling. Clipping before the base step, the harness's included, acts on the whole "
        "gradient g + a (g_p - g) and shortens both parts by the same factor. The CIFAR-10 setting is the authors' "
        "example: ResNet-18, 200 epochs, batch 128, lr 0.1, cosine, weight decay 5e-4."
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

    Departs from the original code in clipping. Its ``max_norm``, by default None, clips g and g_p one by one; here a
    hook before the base step, once, sees :math:`d = g + a\,(g_p - g)` in both forms. What the hook makes of it, d', is
    shared out: the decoupled term is multiplied by :math:`c = \langle d', d \rangle / \|d\|^2`, which is d' / d where
    d' is d clipped, and the base optimizer is given the rest, :math:`d' - c\, a\,(g_p - g)`. ``pytorch_optimizer.WSAM``
    (4.1.0) makes the same steps, both forms, but sums the gradient norm in float32 for float64 gradients too (2e-9
    after 20 steps of a small network).

    References:
        Yue et al., KDD 2023, arXiv 2305.15817; code: intelligent-machine-learning/atorch,
        ``atorch/optimizers/wsam.py`` and ``examples/optimizer``.
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
        if not any(group["decoupled"] for group in self.param_groups):
            self.descend(at)
            return at.loss
        self.average(worst)
        share: Tensor | float = 1.0
        if self.base._optimizer_step_pre_hooks or _global_optimizer_pre_hooks:
            share = self._descend_hooked(at, worst)
        else:
            self.descend(at)
        for group, params, sharpness in self.groups(worst):
            if group["decoupled"]:
                torch._foreach_mul_(sharpness, group["lr"] * _weight(group) * share)
                torch._foreach_sub_(params, sharpness)
        return at.loss

    def _descend_hooked(self, clean: Gradient, sharpness: Gradient) -> Tensor | float:
        """Make the base step with hooks that see both parts of the step; return what they leave of the second one."""
        self.average(clean)
        parts = [
            (p, g, s, _weight(group) if group["decoupled"] else 0.0)
            for (group, params, values), (_, _, others) in zip(self.groups(clean), self.groups(sharpness), strict=True)
            for p, g, s in zip(params, values, others, strict=True)
        ]
        share: Tensor | float = 1.0

        def split(*arguments: Any) -> None:
            """Leave the base optimizer its own part. It is registered last, so that all other hooks come before."""
            nonlocal share
            if all(p.grad is d and d._version == seen for (p, *_), (d, seen) in zip(parts, shown, strict=True)):
                for p, g, _, _ in parts:  # no hook changed anything: the very bits
                    p.grad = g
                return
            kept = [(p.grad, torch.add(g, s, alpha=a)) for p, g, s, a in parts if p.grad is not None]
            after, before = [d for d, _ in kept], [d for _, d in kept]
            share = inner(after, before) / inner(before, before).clamp_min(TINY**2)
            for p, _, s, weight in parts:
                if p.grad is None:
                    s.zero_()
                else:
                    p.grad.sub_(s * (weight * share))

        shown: list[tuple[Tensor, int]] = []
        for p, g, s, a in parts:
            p.grad = torch.add(g, s, alpha=a)
            shown.append((p.grad, p.grad._version))
        handle = self.base.register_step_pre_hook(split)
        try:
            self.base.step()
        finally:
            handle.remove()
        return share


def _weight(group: dict[str, Any]) -> float:
    return group["gamma"] / (1.0 - group["gamma"])
