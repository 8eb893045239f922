"""SAMPa: SAM whose two gradients can be computed in parallel."""

import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from .contract import TINY, Gradient, StepRule, local
from .info import Paper
from .registry import Hyper, register


@register(
    "sampa",
    summary="SAM along the gradient at an extrapolated point, so that its two gradients can be taken in parallel",
    paper=Paper(
        "Xie, Pethick, Cevher",
        2024,
        "2410.10683",
        "SAMPa: Sharpness-aware Minimization Parallelized",
        "LIONS-EPFL/SAMPa",
    ),
    gradients=2,
    state=1,
    transient=3,
    needs=("previous",),
    hyper={
        "rho": Hyper(0.1, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "lam": Hyper(0.2, "weight of the gradient at the extrapolated point", low=0, high=1, search=(0.0, 0.2, 0.5)),
    },
    neutral=None,
    defaults={"cifar10": {"rho": 0.1, "lam": 0.2}, "cifar100": {"rho": 0.1, "lam": 0.2}},
    notes=(
        "Uses every batch twice, in two steps. At no setting is it its base optimizer; with lam = 1 it is the "
        "optimistic gradient method. Hooks before the base step, and clipping with them, act on the step that is made "
        "and not on the extrapolation. No gradient is taken at the weights: the loss that step() returns and "
        "BatchNorm's statistics are those of the extrapolated point. In one process it costs what SAM costs; it is "
        "meant for two devices with one gradient each, which this implementation does not offer."
    ),
)
class SAMPa(StepRule):
    r"""SAM, parallelized.

    .. math::
        y_{t+1} = \mathrm{base}(w_t, d_t), \qquad \tilde w_t = w_t + \rho\, d_t / \|d_t\|, \qquad
        d_{t+1} = \nabla f_{S_t}(y_{t+1})

        w_{t+1} = \mathrm{base}\big(w_t, (1 - \lambda)\, \nabla f_{S_{t-1}}(\tilde w_t) + \lambda\, d_{t+1}\big)

    :math:`d_t` is the gradient of the step before at its own extrapolated point, :math:`\nabla f_{S_{t-1}}(y_t)`, and
    the perturbed gradient is taken on its batch. The two gradients of a step depend on :math:`d_t` alone. The
    extrapolation is a step of the base optimizer that is taken back: with SGD, weight decay and momentum included, as
    in the original code; the paper states it as :math:`w_t - \eta d_t`. The first step has no past and takes
    :math:`d_0 = d_1 = \nabla f_{S_0}(w_0)`, on one batch.

    Departs from the original code in that first step, which there evaluates one gradient twice, and in the arithmetic:
    it needs two devices, and recovers :math:`d_t` by a division by :math:`\lambda`, which may not be zero. Its training
    script smooths labels by 0.1 over the other classes and then divides each label by its L2 norm, so that it sums to
    more than 1; label smoothing here has no such factor.

    References:
        Xie, Pethick and Cevher, NeurIPS 2024, arXiv 2410.10683; code: LIONS-EPFL/SAMPa, ``train.py``.
    """

    def update(self, closure: Any) -> Tensor:
        self.ask(closure, "previous")
        past = self._past()
        if past.params:
            with self._extrapolated(past):
                ahead = self.gradient(closure)
        else:
            ahead = past = self.gradient(closure)
        with self.perturbed(past, self._ascent(past)):
            worst = self.gradient(closure, previous=True)
        kept = [g.clone() for g in ahead.values]  # the base step may clip or rescale the gradient that it is given
        for (group, _, values), (_, _, others) in zip(self.groups(worst), self.groups(ahead), strict=True):
            torch._foreach_lerp_(values, others, group["lam"])
        for p, g in zip(ahead.params, kept, strict=True):
            self.own[p] = {"ahead": g}
        self.descend(worst)
        return ahead.loss

    def _past(self) -> Gradient:
        params = [p for group in self.param_groups for p in group["params"] if p in self.own and p.requires_grad]
        return Gradient(torch.zeros(()), params, [self.own[p]["ahead"].to(p) for p in params])

    def _ascent(self, past: Gradient) -> list[Tensor]:
        inverse = 1.0 / (past.norm() + TINY)
        return [
            step
            for group, _, values in self.groups(past)
            for step in torch._foreach_mul(values, group["rho"] * inverse)
        ]

    @contextmanager
    def _extrapolated(self, gradient: Gradient) -> Iterator[None]:
        """Be where the base optimizer would step to with this gradient; the block restores weights and its state."""
        weights = [p.clone() for p in gradient.params]
        state, groups = dict(self.base.state), [dict(group) for group in self.param_groups]
        try:
            for p, values in state.items():
                self.base.state[p] = copy.deepcopy(values)
            for p in {p for group in self.param_groups for p in group["params"]}.difference(gradient.params):
                p.grad = None  # a frozen one may have kept a gradient of zeros, by which its momentum would move it
            past = self.average(gradient.like([g.clone() for g in gradient.values]))
            for p, g in zip(past.params, past.values, strict=True):
                p.grad = g
            inspect.unwrap(type(self.base).step)(self.base)  # taken back, so no step that a hook should see
            for p in gradient.params:
                p.grad = None
            yield
        finally:
            if weights:
                torch._foreach_copy_(local(gradient.params), local(weights))
            self.base.state.clear()
            self.base.state.update(state)
            for group, values in zip(self.param_groups, groups, strict=True):
                group.update(values)
