"""Taking gradients out of parameters as tensors that nobody else can write to: a copy where somebody could.

What a closure left is handed on as it is only where its memory is the step's alone:

- No other Python reference to the tensor: the count is compared with that of a gradient which nobody else holds, found
  by the same code when this file is imported. Whatever an interpreter counts for a local variable is in both, and one
  more reference, of a list or a closure, is one more in every CPython.
- No other tensor on the same memory, held by whomever, Python or C++: a storage counts its tensors. So views of a flat
  buffer, buckets of DDP, shards of FSDP2 and ``.data`` aliases show.
- It carries no graph, and has memory of its own for each of its entries.

Where this errs it copies: a debugger's reference costs a copy and nothing else. It does not see C++ code that keeps the
very tensor, without a Python reference, and writes to it later; torch has none.
"""

from collections.abc import Iterator
from sys import getrefcount

import torch
from torch import Tensor

from ._shards import in_shards, local

_holders = torch._C._storage_Use_Count


class SparseGradient(Exception):
    """A gradient is not dense; the arguments are its parameter and its layout."""


def take(params: list[Tensor]) -> list[Tensor | None]:
    """Return the gradient of each parameter, if it has one, as the caller's own; ``p.grad`` is None afterwards.

    Raises:
        SparseGradient: there is one.
    """
    taken: list[Tensor | None] = []
    for g, references, holders in _found(params):
        if g is not None and (
            holders > _HOLDERS
            or references > _REFERENCES
            or g.requires_grad
            or (not g.is_contiguous() and 0 in g.stride())
        ):
            g = g.detach().clone()
        taken.append(g)
    return taken


def _found(params: list[Tensor]) -> Iterator[tuple[Tensor | None, int, int]]:
    """Yield each gradient, how many references to it there are, and how many tensors on its memory."""
    sharded = in_shards(params)
    for p in params:
        g = p.grad
        if g is None:
            yield None, 0, 0
            continue
        p.grad = None
        references = getrefcount(g)
        try:
            memory = (local([g])[0] if sharded else g).untyped_storage()._cdata
        except NotImplementedError:
            raise SparseGradient(p, g.layout) from None
        yield g, references, _holders(memory)


def _sole() -> tuple[int, int]:
    """Return the counts of a gradient that nobody else has."""
    p = torch.zeros(1, requires_grad=True)
    p.grad = torch.zeros(1)
    ((_, references, holders),) = _found([p])
    return references, holders


_REFERENCES, _HOLDERS = _sole()
