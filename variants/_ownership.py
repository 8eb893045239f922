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

from operator import attrgetter
from sys import getrefcount

import torch
from torch import Tensor

from ._shards import local

_gradient, _has_graph, _address = attrgetter("grad"), attrgetter("requires_grad"), attrgetter("_cdata")
_holders = torch._C._storage_Use_Count


class SparseGradient(Exception):
    """A gradient is not dense; the argument is its place."""


def take(params: list[Tensor]) -> list[Tensor | None]:
    """Return the gradient of each parameter, if it has one, as the caller's own; ``p.grad`` is None afterwards.

    Loops are C's wherever they can be: with many small parameters, looking takes longer than copying.

    Raises:
        SparseGradient: there is one.
    """
    found: list[Tensor | None] = list(map(_gradient, params))
    for p in params:
        p.grad = None
    present, references, holders = _counts(found)
    if (
        max(references, default=0) <= _REFERENCES
        and max(holders, default=0) <= _HOLDERS
        and not any(map(_has_graph, present))
        and all(map(Tensor.is_contiguous, present))
    ):
        return found
    counts = zip(present, references, holders, strict=True)
    own = iter([_copy_unless_own(g, r <= _REFERENCES and h <= _HOLDERS) for g, r, h in counts])
    return [g if g is None else next(own) for g in found]


def _copy_unless_own(g: Tensor, sole: bool) -> Tensor:
    own = sole and not g.requires_grad and (g.is_contiguous() or 0 not in g.stride())
    return g if own else g.detach().clone()


def _counts(found: list[Tensor | None]) -> tuple[list[Tensor], list[int], list[int]]:
    """Return the gradients that there are, the references to each, and the tensors on its memory."""
    present = [g for g in found if g is not None]
    references = list(map(getrefcount, present))
    try:
        memory = list(map(Tensor.untyped_storage, local(present)))
    except NotImplementedError:
        at = next(i for i, g in enumerate(found) if g is not None and g.layout != torch.strided)
        raise SparseGradient(at) from None
    return present, references, list(map(_holders, map(_address, memory)))


def _sole() -> tuple[int, int]:
    """Return the counts of a gradient that nobody else has."""
    p = torch.zeros(1, requires_grad=True)
    p.grad = torch.zeros(1)
    found: list[Tensor | None] = list(map(_gradient, [p]))
    p.grad = None
    _, (references,), (holders,) = _counts(found)
    return references, holders


_REFERENCES, _HOLDERS = _sole()
