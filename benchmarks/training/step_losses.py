"""The losses that a step has seen: of its batch at the first pass, at the last one, and the rise between them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Seen = list[tuple[Tensor | None, Tensor, Tensor]]
"""Of each pass over the batch of the step: which samples, by position, None for all; the outputs; their mean loss."""


@torch.no_grad()
def losses_of_step(
    seen: Seen, batch: Any, losses: Callable[[Tensor, Any], Tensor]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the mean loss of samples at their first pass, at their last one, and its rise; None where none has it.

    Where every pass was over the whole batch, its losses are known; otherwise those of samples are taken from outputs.
    Nothing waits for the device.

    Args:
        seen: passes of the step, at least one.
        batch: of the step, with ``weights`` or None.
        losses: ``losses(outputs, part)``, of the samples of a part of the batch, (b,).
    """
    if all(at is None for at, _, _ in seen):
        first, last = seen[0][2], seen[-1][2]
        return (first, None, None) if len(seen) == 1 else (first, last, last - first)
    count, device = len(batch), seen[0][1].device
    passes = torch.zeros(count, device=device)
    first = last = passes
    for at, outputs, _ in seen:
        where = torch.arange(count, device=device) if at is None else at
        part = batch if at is None else batch[at]
        found = losses(outputs, part)
        found = found if part.weights is None else found * part.weights
        last = last.to(found.dtype).index_copy(0, where, found)
        first = torch.where(passes > 0, first, last)
        passes = passes.index_add(0, where, torch.ones_like(where, dtype=passes.dtype))
    unperturbed = _mean(first, passes > 0)
    if len(seen) == 1:
        return unperturbed, None, None
    again = passes > 1
    return unperturbed, _mean(last, again), _mean(last - first, again)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of chosen values; indexing with a mask would wait for the device."""
    return torch.where(chosen, values, 0).sum() / chosen.sum()
