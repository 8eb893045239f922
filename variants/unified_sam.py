"""Unified SAM: one rule with SAM and USAM at its ends."""

from typing import Any

import torch
from torch import Tensor

from ..hyper import Value
from . import published
from .contract import TINY, Gradient
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM

SCHEDULES = ("1/t", "1-1/t")


def interpolation(lam: Value, t: int) -> float:
    """Return lambda at time t = 1, 2, ...

    Example:
        >>> interpolation(0.5, 7), interpolation("1/t", 4), interpolation("1-1/t", 4)
        (0.5, 0.25, 0.75)
    """
    if lam == "1/t":
        return 1.0 / t
    if lam == "1-1/t":
        return 1.0 - 1.0 / t
    return float(lam)


@register(
    "unified_sam",
    summary="interpolates between USAM (lam=0) and SAM (lam=1), with fixed or scheduled lam",
    paper=Paper(
        "Oikonomou, Loizou",
        2025,
        "2503.02225",
        "Sharpness-Aware Minimization: General Analysis and Improved Rates",
        "dimitris-oik/unifiedsam",
    ),
    gradients=2,
    transient=1,
    hyper={
        "rho": Hyper(0.2, "scale of the perturbation", low=0, search=(0.02, 0.5, "log")),
        "lam": Hyper(
            0.5,
            "weight of the normalization",
            low=0,
            high=1,
            choices=SCHEDULES,
            search=(0.0, 0.5, 1.0, *SCHEDULES),
        ),
        "lam_clock": Hyper("step", "what t counts in a scheduled lam", choices=("step", "epoch")),
    },
    neutral={"rho": 0.0},
    identities=(
        Identity({"lam": 1.0, "rho": 0.1}, "sam", {"rho": 0.1}),
        Identity({"lam": 0.0, "rho": 0.1}, "usam", {"rho": 0.1}),
    ),
    defaults={"cifar10": {"rho": 0.3, "lam": "1-1/t"}},
    published=(
        published.UNIFIED_SAM.result(95.68, 0.11, rho=0.1, lam=0.5),
        published.UNIFIED_SAM.result(95.77, 0.09, rho=0.2, lam=0.5),
        published.UNIFIED_SAM.result(95.88, 0.10, rho=0.3, lam=0.5),
        published.UNIFIED_SAM.result(95.76, 0.10, rho=0.4, lam=0.5),
        published.UNIFIED_SAM.result(95.84, 0.07, rho=0.1, lam="1/t"),
        published.UNIFIED_SAM.result(95.71, 0.13, rho=0.2, lam="1/t"),
        published.UNIFIED_SAM.result(95.68, 0.02, rho=0.3, lam="1/t"),
        published.UNIFIED_SAM.result(95.46, 0.27, rho=0.4, lam="1/t"),
        published.UNIFIED_SAM.result(95.81, 0.03, rho=0.1, lam="1-1/t"),
        published.UNIFIED_SAM.result(95.98, 0.10, rho=0.2, lam="1-1/t"),
        published.UNIFIED_SAM.result(95.99, 0.06, rho=0.3, lam="1-1/t"),
        published.UNIFIED_SAM.result(95.79, 0.07, rho=0.4, lam="1-1/t"),
    ),
    notes="With the paper's clock (steps), lam=1-1/t is SAM and 1/t is USAM for 99.9 % of a long training.",
)
class UnifiedSAM(SAM):
    r"""Unified sharpness-aware minimization.

    .. math::
        w_{t+1} = \mathrm{base}\Big(w_t,
        \nabla f_S\big(w_t + \rho\,(1 - \lambda_t + \lambda_t / \|g_t\|)\, g_t\big)\Big), \quad g_t = \nabla f_S(w_t)

    The same batch S in both evaluations; :math:`\lambda_t \in [0, 1]`, or 1/t, or 1 - 1/t with t = 1, 2, ... counting
    steps (the paper) or epochs (``lam_clock="epoch"``, asks the closure for its ``epoch``).

    Departs from the official code: the first gradient is evaluated here, the loss is returned, and the schedule's
    counter and the base optimizer's momentum are part of ``state_dict``.

    References:
        Oikonomou and Loizou, ICLR 2025, arXiv 2503.02225; code: dimitris-oik/unifiedsam.
    """

    def update(self, closure: Any) -> Tensor:
        by_epoch = any(g["lam_clock"] == "epoch" and g["lam"] in SCHEDULES for g in self.param_groups)
        self.epochs = self.ask(closure, "epoch") + 1 if by_epoch else 1
        return super().update(closure)

    def ascent(self, at: Gradient) -> list[Tensor]:
        inverse = 1.0 / (at.norm() + TINY)
        for group, _, values in self.groups(at):
            lam = interpolation(group["lam"], self.steps + 1 if group["lam_clock"] == "step" else self.epochs)
            torch._foreach_mul_(values, group["rho"] * ((1.0 - lam) + lam * inverse))
        return at.values
