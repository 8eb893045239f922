"""What a step rule may ask its closure for: the harness passes an oracle, anybody else a plain function."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

Closure = Callable[[], Tensor | float | None]
"""Zeroes the gradients, runs forward and backward, returns the loss; or returns None to skip the batch."""


class GradientOracle(Protocol):
    """What the harness passes as the closure: called plainly it is one; variants that declare it may ask for more."""

    epoch: int
    """Epochs completed before this one."""
    step: int
    """Optimizer steps completed before this one."""
    total_steps: int
    """Steps of the whole run."""
    ids: Tensor
    """Identities of the batch's samples in the data set, int64 (B,)."""
    logits: Tensor
    """Detached outputs of the last pass, (B, classes)."""
    previous: bool
    """Whether there is a batch of the step before."""
    fresh: bool
    """Whether further batches can be asked for."""
    hook: Any
    """The loss hook whose term is part of every loss (:class:`~sambench.variants.hooks.LossHook`)."""
    average: Any
    """The weight average that follows the run (:class:`~sambench.variants.averages.WeightAverage`)."""

    def __call__(
        self,
        *,
        subset: Tensor | None = None,
        cotangent: Tensor | None = None,
        previous: bool = False,
        fresh: int = 0,
    ) -> Tensor:
        """Zero the gradients, run forward and backward, return the mean loss (a scalar, detached).

        Args:
            subset: positions in the batch, int64 (b,): the mean is over these samples only and costs b/B.
            cotangent: (B, classes); back-propagate this vector from the logits instead of the loss.
            previous: look at the batch of the step before, in the first step at the present one.
            fresh: look at another batch, drawn uniformly: number 1, 2, ... of this step.
        """
        ...

    def losses(self) -> Tensor:
        """Return the per-sample losses (B,) of a forward pass without backward (a forward evaluation)."""
        ...

    def last_losses(self) -> Tensor:
        """Return the per-sample losses (b,) of the last pass, from its logits: no further evaluation."""
        ...

    def cotangent(self) -> Tensor:
        """Return the derivative of the mean loss by the logits of the last pass, (B, classes)."""
        ...
