"""A variant of your own, in one file: run it, check it, put it beside the others.

    sambench run --plugin examples/own_variant.py --variant half_sam --epochs 2
    sambench check half_sam --plugin examples/own_variant.py

The rule: a gradient step that is the mean of the gradient here and at the point that SAM goes to,

    w <- w - lr (g(w) + g(w + rho g(w) / ||g(w)||)) / 2.
"""

import torch

from sambench.variants import TINY, Hyper, StepRule, register


@register(
    "half_sam",
    summary="half SGD, half SAM",
    paper=None,
    gradients=2,
    transient=3,
    hyper={"rho": Hyper(0.05, "radius", low=0)},
    neutral={"rho": 0.0},
)
class HalfSAM(StepRule):
    """The mean of two gradients; with ``rho = 0`` both are the same."""

    def update(self, closure):
        here = self.gradient(closure)
        length = here.norm() + TINY
        ascent = [g * (group["rho"] / length) for group, _, gradients in self.groups(here) for g in gradients]
        with self.perturbed(here, ascent):
            there = self.gradient(closure)
        torch._foreach_add_(there.values, here.values)
        torch._foreach_mul_(there.values, 0.5)
        self.descend(there)
        return here.loss
