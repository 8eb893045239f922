"""Batches of any structure: tensors with the samples first, in tuples, lists, mappings and dataclasses."""

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor

from ...errors import ConfigError

_CONSTANT = (type(None), bool, int, float)
"""Leaves that belong to no sample (``return_dict=True``); they stay as they are."""


def map_tensors(change: Callable[[Tensor], Tensor], batch: Any) -> Any:
    """Return a batch of the same structure with every tensor replaced.

    Example:
        >>> import torch
        >>> map_tensors(lambda t: t[:1], {"x": (torch.arange(3), None), "scale": 2.0})
        {'x': (tensor([0]), None), 'scale': 2.0}
    """
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, _CONSTANT):
        return batch
    if isinstance(batch, Mapping):
        changed = {key: map_tensors(change, value) for key, value in batch.items()}
        if not isinstance(batch, MutableMapping):
            return changed
        same = copy.copy(batch)  # a subclass may want more than its items
        same.update(changed)
        return same
    if isinstance(batch, tuple | list):
        parts = [map_tensors(change, value) for value in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    if is_dataclass(batch) and not isinstance(batch, type):
        return replace(batch, **{one.name: map_tensors(change, getattr(batch, one.name)) for one in fields(batch)})
    raise ConfigError(
        f"a batch holds a {type(batch).__name__}, of which no samples can be taken; it may hold tensors with the "
        "samples first, in tuples, lists, dicts and dataclasses, and numbers or None for all samples: convert it"
    )


def tensors_of(batch: Any) -> Iterator[Tensor]:
    """Yield the tensors of a batch."""
    found: list[Tensor] = []
    map_tensors(lambda t: found.append(t) or t, batch)
    yield from found


def count_samples(batch: Any) -> int:
    """Return the number of samples, B.

    Raises:
        ConfigError: no tensor, or tensors whose first dimensions are not the same number.

    Example:
        >>> import torch
        >>> count_samples((torch.zeros(4, 3), {"y": torch.zeros(4)}))
        4
    """
    shapes = [tuple(t.shape) for t in tensors_of(batch)]
    if not shapes or len({shape[:1] for shape in shapes}) > 1 or not shapes[0]:
        raise ConfigError(
            f"a batch with tensors of the shapes {shapes} has no number of samples: every tensor needs the samples in "
            "its first dimension; what belongs to no sample goes into the loss function"
        )
    return shapes[0][0]
