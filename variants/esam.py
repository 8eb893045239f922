"""ESAM: SAM on a random part of the network, and on the samples whose loss rises most."""

from typing import Any

import torch
from torch import Tensor

from .contract import TINY, Gradient
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "esam",
    summary="SAM on a random subset of the tensors (SWP) and on the samples whose loss rises most (SDS)",
    paper=Paper(
        "Du, Yan, Feng, Zhou, Zhen, Goh, Tan",
        2022,
        "2110.03141",
        "Efficient Sharpness-aware Minimization for Improved Training of Neural Networks",
        "dydjw9/Efficient_SAM",
    ),
    gradients=lambda hyper: 1 + hyper["gamma"],
    forwards=lambda hyper: 1.0 if hyper["gamma"] < 1.0 else 0.0,
    transient=1,
    needs=("losses", "subset"),
    hyper={
        "rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "beta": Hyper(0.6, "probability that a tensor is perturbed", low=0, high=1, above=True, search=(0.5, 0.6, 1.0)),
        "gamma": Hyper(
            0.5, "share of the batch in the second pass", low=0, high=1, above=True, search=(0.5, 0.75, 1.0)
        ),
    },
    neutral={"rho": 0.0, "gamma": 1.0},
    identities=(Identity({"beta": 1.0, "gamma": 1.0, "rho": 0.1}, "sam", {"rho": 0.1}),),
    defaults={
        "cifar10": {"rho": 0.05, "beta": 0.6, "gamma": 0.5},
        "cifar100": {"rho": 0.05, "beta": 0.6, "gamma": 0.5},
    },
    notes=(
        "A subset is max(1, round(gamma B)) samples, so the cost is exact where gamma B is whole. For WideResNet the "
        "authors take beta = 0.5, rho = 0.1. gamma is the first group's."
    ),
)
class ESAM(SAM):
    r"""Efficient sharpness-aware minimization.

    .. math::
        \epsilon = \frac{\rho}{\beta}\, \frac{m \circ g}{\|m \circ g\|}, \qquad g = \nabla f_S(w_t), \qquad
        m_i \sim \mathrm{Bernoulli}(\beta) \text{ for every parameter tensor } i

        S^+ = \text{the } \gamma |S| \text{ samples with the largest } \ell_i(w_t + \epsilon) - \ell_i(w_t), \qquad
        w_{t+1} = \mathrm{base}(w_t, \nabla f_{S^+}(w_t + \epsilon))

    Departs from the original code. It takes the samples above the value of rank gamma B, which loses one, and all when
    they tie (the mean over none is NaN): here the number is fixed, and of equal samples the first in the batch are
    taken. It switches off ``requires_grad`` for the tensors outside m, which forces recompilation and breaks
    distributed training: here their perturbation is zero; the mask is drawn in the step it is used in, the first
    included. It lets three passes, one over the hardest samples alone, move BatchNorm's statistics: here the first
    does.

    References:
        Du et al., ICLR 2022, arXiv 2110.03141; code: dydjw9/Efficient_SAM, ``utils/Esam.py`` and ``run.sh``.
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        share = self.param_groups[0]["gamma"]
        losses = self.ask(closure, "losses") if share < 1.0 else None
        before = closure.last_losses() if losses else None
        request: dict[str, Tensor] = {}
        with self.perturbed(at, self.ascent(at)):
            at.values.clear()
            if losses and before is not None:
                rise = losses() - before
                order = rise.sort(descending=True, stable=True).indices
                request["subset"] = order[: max(1, round(share * len(rise)))]
            worst = self.gradient(closure, **request)
        self.descend(worst)
        return at.loss

    def ascent(self, at: Gradient) -> list[Tensor]:
        generator = self.noise()
        draws = iter(torch.rand(len(at.params), generator=generator, device=generator.device).unbind())
        for group, _, values in self.groups(at):
            keep = [(next(draws) < group["beta"]).to(g) for g in values]
            if values:
                torch._foreach_mul_(values, keep)
        inverse = 1.0 / (at.norm() + TINY)
        for group, _, values in self.groups(at):
            torch._foreach_mul_(values, group["rho"] / group["beta"] * inverse)
        return at.values
