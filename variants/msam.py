"""MSAM: SAM that perturbs along the momentum it already has, at the cost of the base optimizer."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..errors import ConfigError
from ..hyper import Value
from .contract import TINY, Gradient, Owner, StepRule, global_norm
from .info import Paper
from .registry import Hyper, register

MOMENTA = ("momentum_buffer", "exp_avg")
"""Where base optimizers keep their momentum: SGD and those like it, Adam and those like it."""


@register(
    "msam",
    summary="evaluates its one gradient at weights moved along the negative momentum of the base optimizer",
    paper=Paper(
        "Becker, Altrock, Risse",
        2024,
        "2401.12033",
        "Momentum-SAM: Sharpness Aware Minimization without Computational Overhead",
        "MarlonBecker/MSAM",
    ),
    gradients=1,
    transient=2,
    hyper={"rho": Hyper(0.3, "radius of the perturbation, L2 norm", low=0, search=(0.1, 5.0, "log"))},
    neutral={"rho": 0.0},
    defaults={"cifar100": {"rho": 3.0}},
    notes=(
        "Needs a base optimizer with momentum that keeps it as momentum_buffer or exp_avg, such as sgd or adamw. Its "
        "one evaluation is at perturbed weights: the loss that step() returns is the loss there, and BatchNorm's "
        "statistics are collected there. The radius belongs to a recipe: 3 goes with WRN-16-4, batch 256, lr 0.5, "
        "label smoothing 0.1."
    ),
)
class MSAM(StepRule):
    r"""Momentum sharpness-aware minimization.

    .. math::
        w_{t+1}, v_{t+1} = \mathrm{base}\big(w_t, v_t, \nabla f_S(w_t - \rho\, v_t / \|v_t\|)\big)

    with the base optimizer's momentum v (of AdamW its average of gradients), zero before the first step. Descent goes
    along -v, so the perturbation looks further in the direction of the last step, from where the loss rises across a
    valley.

    Departs from the original code in where the perturbation lives. There the weights stay perturbed between steps, and
    must be moved back before every evaluation and checkpoint and out again after it; here they are perturbed at the
    start of a step and restored before its end. The gradients, and with them the steps, are the same, except for the
    weight decay: there it is taken of the perturbed weights, here of the weights.

    References:
        Becker, Altrock and Risse 2024, arXiv 2401.12033; code: MarlonBecker/MSAM, ``optimizer/msam.py`` and
        ``optimizer/adamW_msam.py``.
    """

    def __init__(self, base: Optimizer, owners: dict[Tensor, Owner], hyper: dict[str, Value], seed: int = 0):
        super().__init__(base, owners, hyper, seed)
        if not all(group.get("momentum") or group.get("betas", (0.0,))[0] for group in self.param_groups):
            raise ConfigError(_needs_momentum(base, "has no momentum"))

    def update(self, closure: Any) -> Tensor:
        params = [p for group in self.param_groups for p in group["params"]]
        kept = [(p, v) for p in params for name in MOMENTA if isinstance(v := self.state.get(p, {}).get(name), Tensor)]
        if self.state and not kept:
            raise ConfigError(_needs_momentum(self.base, f"keeps no {' or '.join(MOMENTA)}"))
        kept = [(p, v) for p, v in kept if p.requires_grad]
        momentum = Gradient(torch.zeros(()), [p for p, _ in kept], [v for _, v in kept])
        with self.perturbed(momentum, self._ascent(momentum)):
            ahead = self.gradient(closure)
        self.descend(ahead)
        return ahead.loss

    def _ascent(self, momentum: Gradient) -> list[Tensor]:
        inverse = 1.0 / (global_norm(momentum.values) + TINY)
        return [
            step
            for group, _, values in self.groups(momentum)
            if values
            for step in torch._foreach_mul(values, -group["rho"] * inverse)
        ]


def _needs_momentum(base: Optimizer, what: str) -> str:
    return (
        f"'msam' perturbs along the momentum of its base optimizer, and {type(base).__name__} as configured {what}: "
        "use base='sgd' with momentum=0.9, or base='adamw'"
    )
