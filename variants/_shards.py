"""Parameters in shards (FSDP2's ``fully_shard``): every process has a part of each, and norms are of the whole."""

import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor


def in_shards(tensors: Sequence[Tensor]) -> bool:
    """Whether tensors are parts of larger ones; ``create`` sees to it that all of an optimizer are, or none."""
    return bool(tensors) and type(tensors[0]) is not Tensor and hasattr(tensors[0], "device_mesh")


def local(tensors: list[Tensor]) -> list[Tensor]:
    """Return this process's parts, which share memory with the tensors; tensors that are whole are their own part."""
    if not in_shards(tensors):
        return tensors
    return [t.to_local() if hasattr(t, "device_mesh") else t for t in _sharded(tensors)]  # beside buffers, perhaps


def sum_over_shards(value: Tensor, like: list[Tensor]) -> Tensor:
    """Return a sum over the entries of whole tensors, from that over the entries of this process's parts."""
    if not in_shards(like):
        return value
    from torch.distributed.tensor import DTensor, Partial, Replicate

    (first, *_) = _sharded(like)
    parts = [Partial() if one.is_shard() else Replicate() for one in first.placements]
    return DTensor.from_local(value, first.device_mesh, parts).full_tensor()


def cut_like(tensors: list[Tensor], like: list[Tensor]) -> list[Tensor]:
    """Return this process's parts of tensors that every process has whole, cut as other tensors are."""
    if not in_shards(like) or in_shards(tensors):
        return tensors
    from torch.distributed.tensor import distribute_tensor

    return [
        distribute_tensor(whole, p.device_mesh, p.placements, src_data_rank=None)
        for whole, p in zip(tensors, _sharded(like), strict=True)
    ]


def forget_gathered() -> None:
    """Free what ``fully_shard`` has gathered of the weights, since they have moved.

    A backward pass frees it; a forward pass alone leaves that of the root, and the next one would see it.
    """
    known = sys.modules.get("torch.distributed._composable_state")
    if known and known._module_state_mapping:
        for module in list(known._module_state_mapping):
            if hasattr(module, "reshard"):
                module.reshard()


def _sharded(tensors: Sequence[Any]) -> list[Any]:
    """The tensors, with the attributes of a ``DTensor``, whose type is not imported without need."""
    return list(tensors)
