"""The base optimizer alone: one gradient, one step. Named after the base that the field compares with."""

from typing import Any

from torch import Tensor

from . import published
from .contract import StepRule
from .info import Paper
from .registry import register


@register(
    "sgd",
    summary="the base optimizer alone, with momentum SGD as the default base",
    paper=Paper("Robbins, Monro", 1951, title="A Stochastic Approximation Method"),
    gradients=1,
    neutral={},
    published=(
        published.DAVDA54.result(96.80),
        published.UNIFIED_SAM.result(95.35, 0.06),
        published.SAM_ISSUE.result(96.50),
        published.SWA_CIFAR10.result(96.18, 0.11),
        published.SWA_CIFAR100.result(80.82, 0.23),
        published.SAM_PYTORCH_RESNET20.result(93.20),
        published.SAM_PYTORCH_WRN28_2.result(95.40),
        published.SAM_PYTORCH_RESNEXT29.result(95.80),
        published.GIUNG2_CIFAR10.result(95.35),
        published.GIUNG2_CIFAR100.result(76.57),
        published.BAYESIAN_SAM.result(94.77),
    ),
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
