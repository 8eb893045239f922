"""RST: a random choice at every step between SAM and the base optimizer."""

import random
from typing import Any

from torch import Tensor

from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "rst",
    summary="a SAM step with probability p_t, a base step otherwise; p_t constant or linear in time",
    paper=Paper(
        "Zhao, Zhang, Hu",
        2022,
        "2203.09962",
        "Randomized Sharpness-Aware Training for Boosting Computational Efficiency in Deep Learning",
        "zhaoyang-0204/gnp",
    ),
    gradients=lambda hyper: 1 + (hyper["p_start"] + hyper["p_end"]) / 2,
    transient=1,
    cost="random",
    hyper={
        "rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "p_start": Hyper(0.5, "probability of a SAM step at the start", low=0, high=1),
        "p_end": Hyper(0.5, "probability of a SAM step at the end", low=0, high=1),
    },
    neutral={"rho": 0.0},
    identities=(
        Identity({"p_start": 1.0, "p_end": 1.0, "rho": 0.1}, "sam", {"rho": 0.1}),
        Identity({"p_start": 0.0, "p_end": 0.0}, "sgd"),
    ),
    status="reimplementation, unverified",
    notes=(
        "Also published as SS-SAM. The rule is that of the authors' code; the values of rho and p are not confirmed by "
        "a source (the code's p is 0 until it is set). The paper also tries steps and cosines, and reweighs the two "
        "gradients (G-RST). Where p_start is not p_end, the rule needs the step and the number of steps from the "
        "closure. One random number, drawn on the host from the variant's own stream, decides for the whole model, by "
        "the first group's p."
    ),
)
class RST(SAM):
    r"""Randomized sharpness-aware training.

    .. math::
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \rho\, g / \|g\|)) \text{ with probability } p_t, \qquad
        \mathrm{base}(w_t, g) \text{ otherwise}

        p_t = p_{\mathrm{start}} + (p_{\mathrm{end}} - p_{\mathrm{start}})\, \frac{t + 1/2}{T}, \quad t = 0, 1, \dots

    of T steps, so that over a run the mean of p is that of its ends.

    Departs from the authors' code, whose released schedule is a constant p, by the linear one; and by a SAM step, where
    that code makes one of GNP, which is SAM's at alpha = 1.

    References:
        Zhao, Zhang and Hu 2022, arXiv 2203.09962; code: zhaoyang-0204/gnp (``use_hybrid_training`` in
        ``training/training_core.py``).
    """

    def update(self, closure: Any) -> Tensor:
        start, end = self.param_groups[0]["p_start"], self.param_groups[0]["p_end"]
        chance = start
        if start != end:
            chance += (end - start) * (self.ask(closure, "step") + 0.5) / self.ask(closure, "total_steps")
        # the seed of the variant's stream, without a draw on the device that the host would have to wait for
        if random.Random(self.noise().initial_seed()).random() < chance:
            return super().update(closure)
        at = self.gradient(closure)
        self.descend(at)
        return at.loss
