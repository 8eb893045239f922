"""Lookbehind-SAM: several ascent steps, a base step with the gradient of each, and an average of first and last."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .contract import TINY, Gradient, local
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


def agreement(first: Tensor, last: Tensor) -> Tensor:
    """Return (cos(first, last) + 1) / 2 of two displacements of one parameter, a 0-d tensor.

    Example:
        >>> agreement(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
        tensor(0.5000)
    """
    return (F.cosine_similarity(first.flatten(), last.flatten(), dim=0, eps=TINY) + 1.0) / 2.0


@register(
    "lookbehind_sam",
    summary="makes k ascent steps, a base step with the gradient at each point reached, and averages start and end",
    paper=Paper(
        "Mordido, Malviya, Baratin, Chandar",
        2024,
        "2307.16704",
        "Lookbehind-SAM: k steps back, 1 step forward",
        "chandar-lab/Lookbehind-SAM",
    ),
    gradients=lambda hyper: 1 + hyper["k"],
    transient=3,
    hyper={
        "rho": Hyper(0.05, "radius of each ascent step, L2 norm", low=0, search=(0.01, 0.2, "log")),
        "k": Hyper(2, "ascent steps, and base steps", low=1, search=(2, 5)),
        "alpha": Hyper(
            0.5, "weight of the end", low=0, high=1, choices=("adaptive",), search=(0.2, 0.5, 0.8, "adaptive")
        ),
    },
    neutral={"rho": 0.0, "k": 1, "alpha": 1.0},
    identities=(
        Identity({"k": 1, "alpha": 1.0, "rho": 0.1}, "sam", {"rho": 0.1}),
        Identity({"k": 1, "alpha": "adaptive", "rho": 0.1}, "sam", {"rho": 0.1}),
    ),
    defaults={
        "cifar10": {"rho": 0.05, "k": 2, "alpha": "adaptive"},
        "cifar100": {"rho": 0.05, "k": 2, "alpha": "adaptive"},
    },
    notes=(
        "Base optimizer and its momentum advance k times a step. All k gradients are held until the last is known, so "
        "a step needs k - 2 more parameter-sized buffers than declared for k = 2. k is the first group's."
    ),
)
class LookbehindSAM(SAM):
    r"""Lookbehind on SAM.

    .. math::
        \phi'_0 = \phi_0 = w_t, \qquad
        \phi'_i = \phi'_{i-1} + \rho\, \frac{\nabla f_S(\phi'_{i-1})}{\|\nabla f_S(\phi'_{i-1})\|}, \qquad
        \phi_i = \mathrm{base}(\phi_{i-1}, \nabla f_S(\phi'_i)), \quad i = 1, \dots, k

        w_{t+1} = \phi_0 + \alpha\, (\phi_k - \phi_0)

    ``alpha="adaptive"``: for every parameter tensor :math:`\alpha = (\cos(\phi_1 - \phi_0, \phi_k - \phi_0) + 1) / 2`.

    The ascent steps do not depend on the base steps, so all gradients come first and each is evaluated once: k + 1
    evaluations, where the original code makes 2 k, two at each point. It also updates BatchNorm's statistics in all of
    them, carries the perturbation in the weights between calls, and evaluates on other weights than it trains.

    References:
        Mordido et al., ICML 2024, arXiv 2307.16704; code: chandar-lab/Lookbehind-SAM (README: CIFAR, ResNet-34, k = 2,
        rho = 0.05, adaptive).
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        reached: list[Gradient] = []
        offset = self.ascent(at)
        for _ in range(self.param_groups[0]["k"]):
            if reached and offset:
                latest = reached[-1]
                torch._foreach_add_(offset, self.ascent(latest.like([g.clone() for g in latest.values])))
            with self.perturbed(at, offset):
                reached.append(self.gradient(closure))
        at.values.clear()
        start, first = at.like([p.clone() for p in at.params]), at.like([])
        for worst in reached:
            self.descend(worst)
            if worst is reached[0] and any(group["alpha"] == "adaptive" for group in self.param_groups):
                first = at.like([p.clone() for p in at.params])
        early = iter(first.values)
        for group, end, begin in self.groups(start):
            if group["alpha"] == "adaptive":
                weights = [agreement(next(early) - b, e - b) for b, e in zip(begin, end, strict=True)]
                torch._foreach_lerp_(begin, end, weights)
            else:
                torch._foreach_lerp_(begin, end, group["alpha"])
            torch._foreach_copy_(local(end), local(begin))
        return at.loss
