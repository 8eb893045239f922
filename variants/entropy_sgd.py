"""Entropy-SGD: goes towards the mean of a short Langevin walk instead of along the gradient."""

import math
from typing import Any

import torch
from torch import Tensor

from .contract import Gradient, StepRule
from .info import Identity, Paper
from .registry import Hyper, register


def pull(scope: float, scoping: float, walk_lr: float, t: int) -> float:
    """Return the pull at step t: ``scope (1 + scoping)^t``, at most ``1 / walk_lr``.

    A step of the walk takes the share ``walk_lr`` times the pull off its distance to the weights: all of it at the
    bound, and beyond twice the bound the walk would diverge.

    Example:
        >>> [round(pull(0.03, 1e-3, 0.1, t), 3) for t in (0, 1000, 5813, 10**9)]
        [0.03, 0.082, 10.0, 10.0]
    """
    grown = min(t * math.log1p(scoping), 700.0)  # whose exponential is a float
    return min(scope * math.exp(grown), 1.0 / walk_lr)


@register(
    "entropy_sgd",
    summary="descends towards the mean of a walk of Langevin steps around the weights, each on a fresh batch",
    paper=Paper(
        "Chaudhari, Choromanska, Soatto, LeCun, Baldassi, Borgs, Chayes, Sagun, Zecchina",
        2017,
        "1611.01838",
        "Entropy-SGD: Biasing Gradient Descent Into Wide Valleys",
        "ucla-vision/entropy-sgd",
    ),
    gradients=lambda hyper: max(1, hyper["langevin"]),
    transient=4.5,
    needs=("fresh", "whole"),
    hyper={
        "langevin": Hyper(20, "steps L of the walk; 0: the base optimizer", low=0, search=(5, 20)),
        "scope": Hyper(0.03, "pull gamma back to the weights, at first", low=0, search=(1e-4, 0.1, "log")),
        "scoping": Hyper(1e-3, "growth of the pull per step, until it is 1 / walk_lr", low=0),
        "noise": Hyper(1e-4, "scale of the walk's noise", low=0, search=(1e-5, 1e-3, "log")),
        "walk_lr": Hyper(0.1, "step size of the walk", low=0, above=True),
        "walk_momentum": Hyper(0.9, "Nesterov momentum of the walk", low=0, high=1),
        "memory": Hyper(0.75, "weight of the past in the walk's mean", low=0, high=1),
    },
    neutral={"langevin": 0},
    identities=(Identity({"langevin": 0}, "sgd"),),
    defaults={"cifar10": {"langevin": 20, "scope": 0.03, "scoping": 1e-3, "noise": 1e-4}},
    notes=(
        "An epoch of steps costs L epochs of gradients: compare at equal gradient evaluations. The step goes to the "
        "base optimizer as a gradient w - mu, much smaller than the loss's: learning rates of SGD do not carry over, "
        "and the paper takes 1. langevin is the first group's."
    ),
)
class EntropySGD(StepRule):
    r"""Entropy-SGD.

    .. math::
        x_0 = \mu_0 = w_t, \quad v_0 = 0, \qquad
        v_l = \beta v_{l-1} + g_l, \quad g_l = \nabla f_{S_l}(x_{l-1}), \qquad
        \gamma_t = \min\{\gamma\, (1 + \text{scoping})^t,\; 1 / \eta'\}

        x_l = x_{l-1} - \eta' \big(g_l + \beta v_l - \gamma_t (w_t - x_{l-1}) + \epsilon\, \xi_l / \sqrt{\eta'/2}\big),
        \quad \xi_l \sim N(0, I), \qquad
        \mu_l = \alpha \mu_{l-1} + (1 - \alpha)\, x_l, \qquad l = 1, \dots, L

        w_{t+1} = \mathrm{base}(w_t, w_t - \mu_L)

    :math:`S_1` is the step's batch, the others are drawn afresh. At its bound the pull takes the walk back to the
    weights in one step, so that :math:`w_t - \mu_L` is a mean of gradients near :math:`w_t`: the limit of a growing
    pull is SGD.

    The bound is not in the original code, whose walk is unstable once :math:`\eta' \gamma_t > 2`: at the CIFAR-10
    setting from step 6,506 on. Its Python version does not get there, since it never counts t and the pull stays at
    gamma; its Lua version, which made the paper's experiments, counts t and ran for less than 4,000 steps.

    Departs from the original code in the first evaluation: there one more, at the weights, is made only to report the
    loss; here the walk's first one is it. There the walk has the weight decay in its gradients; here the base step
    alone decays, unless ``weight_decay_mode="in_loss"``. There the outer momentum buffer starts from the first raw
    gradient (Python), or there is no outer momentum (Lua); here the momentum is the base optimizer's. There BatchNorm
    is re-estimated by an epoch of forward passes before every evaluation; here the first pass of each step, at the
    weights, moves its statistics.

    References:
        Chaudhari et al., ICLR 2017, arXiv 1611.01838; code: ucla-vision/entropy-sgd, ``python/optim.py`` (README:
        L = 20, scope 0.03 for CIFAR-10; scoping and noise are the script's defaults).
    """

    def update(self, closure: Any) -> Tensor:
        length = self.param_groups[0]["langevin"]
        at = self.gradient(closure)
        if length == 0:
            self.descend(at)
            return at.loss
        self.ask(closure, "fresh")
        start, mean = at.like([p.clone() for p in at.params]), at.like([p.clone() for p in at.params])
        speed, generator = at.like([torch.zeros_like(p) for p in at.params]), self.noise()
        with self.perturbed(at, []):
            here = at
            for number in range(length):
                if number:
                    here = self.gradient(closure, fresh=number)
                self._walk(here, start, speed, mean, generator)
                here.values.clear()
        self.descend(at.like(list(torch._foreach_sub(start.values, mean.values)) if start.values else []))
        return at.loss

    def _walk(
        self, here: Gradient, start: Gradient, speed: Gradient, mean: Gradient, generator: torch.Generator
    ) -> None:
        """Make one step of the walk; the gradient is spent."""
        known = zip(self.groups(here), self.groups(start), self.groups(speed), self.groups(mean), strict=True)
        for (group, params, ways), (_, _, origins), (_, _, speeds), (_, _, means) in known:
            momentum, rate = group["walk_momentum"], group["walk_lr"]
            back = pull(group["scope"], group["scoping"], rate, self.steps)
            torch._foreach_mul_(speeds, momentum)
            torch._foreach_add_(speeds, ways)
            torch._foreach_add_(ways, speeds, alpha=momentum)
            torch._foreach_add_(ways, params, alpha=back)
            torch._foreach_sub_(ways, origins, alpha=back)
            for way in ways:
                drawn = torch.randn(way.shape, generator=generator, device=generator.device).to(way)
                way.add_(drawn, alpha=group["noise"] / (0.5 * rate) ** 0.5)
            torch._foreach_sub_(params, ways, alpha=rate)
            torch._foreach_lerp_(means, params, 1.0 - group["memory"])
