"""Late SAM: the base optimizer first, SAM in the tail of training."""

from typing import Any

from torch import Tensor

from . import published
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "late_sam",
    summary="the base optimizer alone, then SAM for the last part of training",
    paper=Paper(
        "Zhou, Wang, Mao, Li, Yan",
        2025,
        "2410.10373",
        "Sharpness-Aware Minimization Efficiently Selects Flatter Minima Late in Training",
        "zzp1012/SAM-in-Late-Phase",
    ),
    gradients=lambda hyper: 1 + hyper["tail"],
    transient=1,
    needs=("clock",),
    hyper={
        "rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "tail": Hyper(
            0.3, "share of the run's steps, at its end, that SAM makes", low=0, high=1, search=(0.1, 0.6, "linear")
        ),
    },
    neutral={"rho": 0.0},
    identities=(
        Identity({"tail": 1.0, "rho": 0.1}, "sam", {"rho": 0.1}),
        Identity({"tail": 0.0}, "sgd"),
    ),
    published=(
        published.TEMPERON.result(82.95, 0.34, tail=0.57),
        published.TEMPERON.result(82.49, 0.22, tail=0.2),
    ),
    notes=(
        "The declared cost is the mean over a whole run: 1 before the tail, 2 in it. The defaults are those of the "
        "package temperon, whose author finds that the tail should cover the decay of the learning rate; the paper's "
        "code switches at epoch 150 of 160 and its WideResNet figure at 175 of 200. The tail is the first group's."
    ),
)
class LateSAM(SAM):
    r"""SAM in the late phase of training.

    .. math::
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \epsilon_t)), \qquad
        \epsilon_t = \begin{cases}
            0 & t < \mathrm{round}((1 - \text{tail})\, T) \\
            \rho\, g_t / \|g_t\| & \text{after}
        \end{cases}

    with t = 0, 1, ... of T steps and :math:`g_t = \nabla f_S(w_t)`; before the tail there is one evaluation. The base
    optimizer and its momentum go on through the switch.

    Departs from the original code, which switches at an epoch and to a second optimizer with fresh momentum.
    ``temperon.Temperon`` (0.1.1) is this rule; it also offers a ramp of rho and another optimizer for the tail, and
    undoes the perturbation by subtraction.

    References:
        Zhou et al., ICLR 2025, arXiv 2410.10373; code: zzp1012/SAM-in-Late-Phase; package: temperon.
    """

    def update(self, closure: Any) -> Tensor:
        total = self.ask(closure, "total_steps")
        if self.ask(closure, "step") >= round((1.0 - self.param_groups[0]["tail"]) * total):
            return super().update(closure)
        at = self.gradient(closure)
        self.descend(at)
        return at.loss
