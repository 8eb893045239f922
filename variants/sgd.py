"""The base optimizer alone: one gradient, one step. Named after the base that the field compares with."""

from typing import Any

from torch import Tensor

from .contract import StepRule
from .info import Paper
from .registry import register


@register(
    "sgd",
    summary="the base optimizer alone, with momentum SGD as the default base",
    paper=Paper("Robbins, Monro", 1951, title="A Stochastic Approximation Method"),
    gradients=1,
    neutral={},
)
class SGD(StepRule):
    r"""The baseline that every variant is compared with.

    .. math:: w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t))

    With ``base="sgd"`` this is ``torch.optim.SGD`` to the bit; with another base it is that optimizer.

    Example:
        >>> from sambench.variants import create
        >>> import torch
        >>> create("sgd", [torch.zeros(2, requires_grad=True)], lr=0.1).info.declared_gradients({})
        1.0
    """

    def update(self, closure: Any) -> Tensor:
        gradient = self.gradient(closure)
        self.descend(gradient)
        return gradient.loss
