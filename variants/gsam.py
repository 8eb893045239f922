"""GSAM: SAM that also descends the surrogate gap, with a radius that follows the learning rate."""

from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from .contract import TINY, Gradient, global_norm
from .info import Identity, Paper
from .projection import inner
from .registry import Hyper, register
from .sam import SAM


def radius(lr: float, *, peak: float, lr_min: float, rho: float, rho_min: float) -> float:
    """Return the radius at a learning rate: linear from ``rho_min`` at ``lr_min`` to ``rho`` at the peak and above.

    Example:
        >>> [radius(lr, peak=0.2, lr_min=0.0, rho=1.0, rho_min=0.5) for lr in (0.4, 0.2, 0.1, 0.0)]
        [1.0, 1.0, 0.75, 0.5]
    """
    return min(rho, rho_min + (rho - rho_min) * max(0.0, lr - lr_min) / max(peak - lr_min, TINY))


def peak(group: dict[str, Any]) -> float:
    """Return the peak learning rate of a group: the declared one, or the largest so far."""
    return group["lr_max"] or max(group["peak_lr"], float(group["lr"]))


@register(
    "gsam",
    summary="SAM minus alpha times the part of the plain gradient that the perturbed one does not explain",
    paper=Paper(
        "Zhuang, Gong, Yuan, Cui, Adam, Dvornek, Tatikonda, Duncan, Liu",
        2022,
        "2203.08065",
        "Surrogate Gap Minimization Improves Sharpness-Aware Training",
        "google-research/big_vision, juntang-zhuang/GSAM",
    ),
    gradients=2,
    transient=2,
    hyper={
        "rho": Hyper(0.1, "radius at the peak learning rate", low=0, search=(0.02, 4.0, "log")),
        "rho_min": Hyper(
            0.02, "radius at the learning rate lr_min, at most rho", low=0, search=(0.0, 1.0, "linear"), share_of="rho"
        ),
        "alpha": Hyper(0.4, "weight of the descent on the surrogate gap", low=0, search=(0.05, 1.0, "log")),
        "lr_min": Hyper(0.0, "learning rate at which the schedule ends", low=0),
        "lr_max": Hyper(0.0, "its peak; 0: the largest that a step was made with so far", low=0, added=True),
        "adaptive": Hyper(False, "take the ball of ASAM, with T = |w| on every parameter"),
    },
    neutral={"rho": 0.0, "rho_min": 0.0, "alpha": 0.0},
    identities=(Identity({"alpha": 0.0, "rho": 0.1, "rho_min": 0.1}, "sam", {"rho": 0.1}),),
    defaults={"cifar10": {"rho": 2.0, "rho_min": 2.0, "alpha": 0.4, "adaptive": True}},
    notes=(
        "The paper has no CIFAR table; the CIFAR-10 setting is the example of the authors' PyTorch re-implementation "
        "(constant radius, adaptive), which they do not offer as a baseline. On ImageNet with ViT: rho 0.6 to 0.1, "
        "alpha 0.6. With lr_max the radius also rises during a warm-up; without, it is rho until the learning rate "
        "falls. A run of the harness has its own peak for lr_max."
    ),
)
class GSAM(SAM):
    r"""Surrogate-gap guided sharpness-aware minimization.

    .. math::
        g = \nabla f_S(w), \qquad g_p = \nabla f_S(w + \rho_t \, g / \|g\|), \qquad
        g_\perp = g - \frac{\langle g, g_p \rangle}{\|g_p\|^2} g_p

        w_{t+1} = \mathrm{base}(w_t, g_p - \alpha \, g_\perp), \qquad
        \rho_t = \rho_{\min} + (\rho - \rho_{\min}) \frac{\eta_t - \eta_{\min}}{\eta_{\max} - \eta_{\min}}

    All vectors run over the parameters together. :math:`\eta_t` is a group's present learning rate and
    :math:`\eta_{\max}` its ``lr_max``, or without one the largest rate that a step was made with, this one included.
    Below :math:`\eta_{\min}` the radius stays at rho_min, above :math:`\eta_{\max}` at rho. With ``adaptive=True`` the
    ascent is :math:`\rho_t w^2 g / \|w g\|`.

    Departs from the official code (JAX), whose adaptive ascent is :math:`|w| \rho g / \|g\|`, by taking that of the
    PyTorch code; and from the PyTorch code by undoing the perturbation from a copy. ``pytorch_optimizer.GSAM`` makes
    the same steps, to 1e-8 in float64, since it sums norms in float32 and adds 1e-12 to each denominator; but its
    radius comes from a scheduler object that the caller must step and that is not part of its state, it undoes the
    perturbation by subtraction, and it returns (outputs, loss) instead of the loss.

    References:
        Zhuang et al., ICLR 2022, arXiv 2203.08065; code: google-research/big_vision, juntang-zhuang/GSAM.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        given = {**self.defaults, **param_group}
        if given["rho_min"] > given["rho"]:
            raise ConfigError(
                f"rho_min={given['rho_min']} is not valid: it is at most rho={given['rho']}, which the radius falls "
                "from as the learning rate does; for a constant radius set both to it"
            )
        super().add_param_group(param_group)
        for group in self.param_groups:  # kept in the group, hence in the state
            group.setdefault("peak_lr", 0.0)

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        with self.perturbed(at, self.ascent(at)):
            worst = self.gradient(closure)
        for group in self.param_groups:
            group["peak_lr"] = peak(group)
        explained = inner(at.values, worst.values) / worst.norm().square().clamp_min(TINY**2)
        for (group, _, plain), (_, _, values) in zip(self.groups(at), self.groups(worst), strict=True):
            torch._foreach_mul_(values, 1.0 + group["alpha"] * explained)
            torch._foreach_add_(values, plain, alpha=-group["alpha"])
        self.descend(worst)
        return at.loss

    def ascent(self, at: Gradient) -> list[Tensor]:
        """Return the perturbation in tensors of its own: the gradient is needed again."""
        steps: list[Tensor] = []
        for group, params, values in self.groups(at):
            steps += torch._foreach_mul(values, torch._foreach_abs(params) if group["adaptive"] else 1.0)
        inverse = 1.0 / (global_norm(steps) + TINY)
        for group, params, parts in self.groups(at.like(steps)):
            if group["adaptive"]:
                torch._foreach_mul_(parts, torch._foreach_abs(params))
            given = {key: group[key] for key in ("lr_min", "rho", "rho_min")}
            torch._foreach_mul_(parts, radius(float(group["lr"]), peak=peak(group), **given) * inverse)
        return steps
