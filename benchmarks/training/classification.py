"""The harness's oracle: that of anybody's loop, with the harness's batches, loss and explicit ends of a step."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...variants.averages import WeightAverage
from ...variants.hooks import LossHook
from .batch import Batch, sample_scores, wide
from .oracle import Oracle


class ClassificationOracle(Oracle):
    """An oracle of the cross-entropy of image batches.

    Its step is closed by the loop (``finish_step``, ``skip_step``), and an overflow is an exception, which the loop
    catches.

    Args:
        model: in training mode, on its device.
        label_smoothing: of the cross-entropy.
        gradient_norms: whether to take the norm of every pass's gradient.
        **settings: as for :class:`.oracle.Oracle`.
    """

    batch: Batch

    def __init__(
        self,
        model: nn.Module,
        *,
        label_smoothing: float = 0.0,
        total_steps: int = 1,
        gradient_norms: bool = False,
        **settings: Any,
    ):
        super().__init__(
            model,
            loss=self._cross_entropy,
            logits=lambda model, images: model(images),
            hook=LossHook(model, torch.empty(0), 0, {}),
            average=WeightAverage(model, {}),
            total_steps=total_steps,
            gradient_norms=gradient_norms,
            **settings,
        )
        self.label_smoothing = label_smoothing

    def bind(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, batch: Batch, *, epoch: int, step: int, more: Callable[[int], Batch] | None = None
    ) -> None:
        """Start a step on this batch, that of all devices; ``more`` returns others, by number 1, 2, ..."""
        self._start(batch, epoch, step, more)

    def __call__(self, **request: Any) -> Tensor:
        """Zero the gradients, run forward and backward, return the mean loss; see ``GradientOracle``.

        Raises:
            GradientOverflow: a gradient is not finite, in fp16.
        """
        return self.evaluate(**request)

    def scores(self, kind: str) -> Tensor:
        """Score the samples of the whole batch by their first pass, at no further cost; NaN for one without."""
        logits, seen = self.first.result(self.logits)
        return self._of_all(sample_scores(kind, logits, self.batch.labels).where(seen, torch.nan))

    def _cross_entropy(self, logits: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(logits, batch.labels, reduction="none", label_smoothing=self.label_smoothing)

    def _mean_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        if batch.weights is None and batch.targets is None:
            return F.cross_entropy(wide(outputs), batch.labels, label_smoothing=self.label_smoothing)
        return super()._mean_loss(outputs, batch)

    def _restored(self, saved: dict[str, Any]) -> Batch:
        return Batch(**saved)
