"""The harness's oracle: that of anybody's loop, with the harness's batches, loss and explicit ends of a step."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import Registry
from ...variants import AVERAGES, HOOKS, LossHook, VariantInfo, WeightAverage, create_average, create_hook
from .batch import Batch, sample_scores, wide
from .oracle import Oracle


class ClassificationOracle(Oracle):
    """An oracle of the cross-entropy of image batches.

    Its step is closed by the loop (``finish_step``, ``skip_step``), and an overflow is an exception, which the loop
    catches.

    Args:
        model: in training mode, on its device.
        label_smoothing: of the cross-entropy.
        forward: what a pass calls in place of the model: the same function, compiled.
        gradient_norms: whether to take the norm of every pass's gradient.
        normalization: mean and standard deviation that pixels in [0, 1] were normalized by, one number a channel.
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
        forward: Callable[[Tensor], Tensor] | None = None,
        normalization: tuple[Sequence[float], Sequence[float]] = ((0.0,), (1.0,)),
        **settings: Any,
    ):
        super().__init__(
            model,
            loss=self._cross_entropy,
            logits=lambda model, images: (model if forward is None else forward)(images),
            hook=LossHook(model, torch.empty(0), 0, {}),
            average=WeightAverage(model, {}),
            total_steps=total_steps,
            gradient_norms=gradient_norms,
            **settings,
        )
        self.label_smoothing = label_smoothing
        self._normalization = normalization

    def attach_plugins(
        self,
        info: VariantInfo,
        values: Mapping[str, Any],
        *,
        hook: str,
        average: str,
        ids: Tensor,
        classes: int,
        steps_per_epoch: int,
    ) -> None:
        """Make the loss hook and the weight average of a run of a variant, by name; ``total_steps`` must be set.

        ``values`` are hyper-parameters by name, those of others among them; the rest is as for
        :func:`~sambench.variants.create_hook` and :func:`~sambench.variants.create_average`.
        """
        settings = values_of(AVERAGES, average, values)
        follows = create_average(
            average, self.model, steps_per_epoch=steps_per_epoch, total_steps=self.total_steps, **settings
        )
        kept = create_hook(hook, self.model, ids=ids, classes=classes, **values_of(HOOKS, hook, values))
        self.attach(kept, follows, remember="previous" in info.needs)

    @property
    def normalization(self) -> tuple[Tensor, Tensor]:
        channels = (-1, 1, 1) if len(self._normalization[0]) > 1 else ()
        mean, std = (self.params[0].new_tensor(numbers).view(channels) for numbers in self._normalization)
        return mean, std

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


def values_of(kind: Registry[Any], name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are hyper-parameters of a plug-in."""
    return {key: value for key, value in values.items() if key in kind.get(name).hyper}
