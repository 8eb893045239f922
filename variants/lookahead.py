"""Lookahead: after every k steps of the base optimizer, weights between where they are and where they started."""

from typing import Any

import torch
from torch import Tensor

from .contract import StepRule, local
from .info import Identity, Paper
from .registry import Hyper, register


@register(
    "lookahead",
    summary="every k base steps, interpolates between the weights and the slow weights that the steps started from",
    paper=Paper(
        "Zhang, Lucas, Hinton, Ba",
        2019,
        "1907.08610",
        "Lookahead Optimizer: k steps forward, 1 step back",
        "michaelrzhang/lookahead",
    ),
    gradients=1,
    state=1,
    hyper={
        "k": Hyper(5, "base steps from one synchronization to the next", low=1, search=(5, 10)),
        "alpha": Hyper(0.5, "share of the way that is kept", low=0, high=1, search=(0.5, 0.8)),
    },
    neutral={"alpha": 1.0},
    identities=(
        Identity({"k": 1, "alpha": 1.0}, "sgd"),
        Identity({"k": 4, "alpha": 1.0}, "sgd"),
    ),
    notes=(
        "The weights that are trained and evaluated are the fast ones; they are the slow ones after every k-th step. "
        "The base optimizer's momentum is left as it is at a synchronization. A frozen parameter stays where it is; "
        "thawed, it goes on from its old slow weights. k is the first group's."
    ),
)
class Lookahead(StepRule):
    r"""Lookahead on the base optimizer.

    .. math::
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t)), \qquad
        \text{and if } k \mid t + 1: \quad s \leftarrow s + \alpha\, (w_{t+1} - s), \quad w_{t+1} \leftarrow s

    with slow weights :math:`s = w_0` at first.

    Departs from the original code by saving the slow weights with the state; by alpha = 0.5, where its class
    has 0.8; and by offering only its default for the momentum, which a synchronization leaves alone (there it can also
    be reset or pulled back).
    ``timm.optim.Lookahead`` takes the slow weights at its first synchronization instead, which is then none: it is k
    steps late. ``pytorch_optimizer.Lookahead`` makes the same steps.

    References:
        Zhang et al., NeurIPS 2019, arXiv 1907.08610; code: michaelrzhang/lookahead.
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        for p in at.params:
            if p not in self.own:
                self.own[p] = {"slow": p.clone()}
        self.descend(at)
        if (self.steps + 1) % self.param_groups[0]["k"] == 0:
            self._synchronize()
        return at.loss

    def _synchronize(self) -> None:
        for group in self.param_groups:
            fast = [p for p in group["params"] if p in self.own and p.requires_grad]
            slow = [self.own[p]["slow"].to(p) for p in fast]
            if fast:
                torch._foreach_lerp_(slow, fast, group["alpha"])
                torch._foreach_copy_(local(fast), local(slow))
                self.own.update({p: {"slow": s} for p, s in zip(fast, slow, strict=True)})
