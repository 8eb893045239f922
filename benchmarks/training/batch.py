"""One batch, and what a network says about its samples."""

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...variants.hooks import Targets


@dataclass(frozen=True)
class Batch:
    """One batch on the device: normalized images (B, C, H, W), labels (B,), ids (B,), weights (B,) or None.

    ``targets`` are what a loss hook compares each sample with, tensors (B, ...), or None without its term.
    """

    images: Tensor
    labels: Tensor
    ids: Tensor
    weights: Tensor | None = None
    targets: Targets | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, at: Tensor | slice) -> "Batch":
        """Return the samples at these positions."""
        weights = None if self.weights is None else self.weights[at]
        targets = None if self.targets is None else tuple(t[at] for t in self.targets)
        return Batch(self.images[at], self.labels[at], self.ids[at], weights, targets)

    def state_dict(self) -> dict[str, Any]:
        """Return the fields by name, to save them."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on another device."""
        weights = None if self.weights is None else self.weights.to(device)
        targets = None if self.targets is None else tuple(t.to(device) for t in self.targets)
        return Batch(self.images.to(device), self.labels.to(device), self.ids.to(device), weights, targets)


def wide(logits: Tensor) -> Tensor:
    """Return logits in at least float32: losses are never computed in half precision."""
    return logits if logits.dtype == torch.float64 else logits.float()


def sample_scores(kind: str, logits: Tensor, labels: Tensor) -> Tensor:
    r"""Score samples for importance sampling: their loss, or the bound :math:`\|softmax(z) - y\|_2` on their gradient.

    Args:
        kind: which score, ``"loss"`` or ``"grad_norm"``.
        logits: float tensor (B, classes).
        labels: class indices, int64 (B,).

    Returns:
        float32 (B,).
    """
    logits = wide(logits)
    if kind == "loss":
        return F.cross_entropy(logits, labels, reduction="none")
    return (logits.softmax(1) - F.one_hot(labels, logits.shape[1])).norm(dim=1)


class FirstPasses:
    """The logits of each sample's first pass in a step, whatever parts of the batch the passes looked at.

    Args:
        count: samples of the batch, B.
    """

    def __init__(self, count: int):
        self.count = count
        self.logits: Tensor | None = None
        self.seen: Tensor | None = None
        """Which samples had one; None while it is all or none of them."""

    def note(self, logits: Tensor, subset: Tensor | None) -> None:
        """Take in a pass over the whole batch, or over the samples at these positions: logits (b, classes)."""
        if self.logits is None and subset is None:
            self.logits = logits
            return
        if self.logits is None:
            self.logits = logits.new_zeros(self.count, logits.shape[1])
            self.seen = torch.zeros(self.count, dtype=torch.bool, device=logits.device)
        if self.seen is None:
            return
        at = torch.arange(self.count, device=logits.device) if subset is None else subset
        self.logits[at] = torch.where(self.seen[at][:, None], self.logits[at], logits)
        self.seen[at] = True

    def result(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, classes) and whether there was a pass, bool (B,).

        Args:
            like: logits of any samples, which the answer has the width of when there was none.
        """
        logits = like.new_zeros(self.count, like.shape[1]) if self.logits is None else self.logits
        if self.seen is not None:
            return logits, self.seen
        return logits, torch.full((self.count,), self.logits is not None, device=logits.device)
