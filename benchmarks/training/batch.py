"""One batch, and what a network says about its samples."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import ConfigError
from ...variants.hooks import Targets
from .pytree import count_samples, map_tensors


class _Rows:
    """What a dataclass with one row a sample in every tensor has."""

    def __getitem__(self, at: Tensor | slice) -> Self:
        """Return the samples at these positions."""
        return map_tensors(lambda t: t[at], self)

    def state_dict(self) -> dict[str, Any]:
        """Return the fields by name, to save them."""
        return {one.name: getattr(self, one.name) for one in fields(cast(Any, self))}

    def to(self, device: torch.device) -> Self:
        """Return the batch on another device."""
        return map_tensors(lambda t: t.to(device), self)


@dataclass(frozen=True)
class Batch(_Rows):
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

    def looking_at(self, images: Tensor) -> Self:
        """Return the batch with other images (B, C, H, W), normalized."""
        return replace(self, images=images)

    @property
    def data(self) -> Self:
        """What the loss is given, beside the logits."""
        return self


@dataclass(frozen=True)
class Samples(_Rows):
    """A batch of anybody's loop: data of any structure, and what is known of its samples.

    Args:
        data: tensors (B, ...) in tuples, lists, dicts or dataclasses.
        identities: of the samples in the data set, int64 (B,), or None where nobody told them.
        weights: of the samples in the loss, (B,), or None.
        targets: what a loss hook compares each sample with, tensors (B, ...), or None without its term.
    """

    data: Any
    identities: Tensor | None = None
    weights: Tensor | None = None
    targets: Targets | None = None

    def __len__(self) -> int:
        return count_samples(self.data)

    def looking_at(self, images: Any) -> Self:
        """Return the batch with other data."""
        return replace(self, data=images)

    @property
    def images(self) -> Any:
        """What the network is given: all of the data, by the name that loss hooks know."""
        return self.data

    @property
    def ids(self) -> Tensor:
        """The identities, for those who cannot do without."""
        if self.identities is None:
            raise ConfigError("the ids of the samples are needed and were not given: bind(batch, ids=...), int64 (B,)")
        return self.identities

    @property
    def labels(self) -> Tensor:
        """Refused: which part of the data they are is known to the loss alone."""
        raise ConfigError("a loss hook asks for labels, which a batch of any structure does not have by that name")


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
        """Take in a pass over the whole batch, or over the samples at these positions: logits (b, ...)."""
        if self.logits is None and subset is None:
            self.logits = logits
            return
        if self.logits is None:
            self.logits = logits.new_zeros(self.count, *logits.shape[1:])
            self.seen = torch.zeros(self.count, dtype=torch.bool, device=logits.device)
        if self.seen is None:
            return
        at = torch.arange(self.count, device=logits.device) if subset is None else subset
        seen = self.seen[at].view(-1, *[1] * (logits.ndim - 1))
        self.logits[at] = torch.where(seen, self.logits[at], logits)
        self.seen[at] = True

    def result(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, ...) and whether there was a pass, bool (B,).

        Args:
            like: logits of any samples, which the answer has the width of when there was none.
        """
        logits = like.new_zeros(self.count, *like.shape[1:]) if self.logits is None else self.logits
        if self.seen is not None:
            return logits, self.seen
        return logits, torch.full((self.count,), self.logits is not None, device=logits.device)
