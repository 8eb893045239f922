"""Gradients from before a step: a closure has to zero all of them, or it would add to some."""

from typing import Any
from weakref import ref

import torch
from torch import Tensor

from ._shards import in_shards


class Leftovers:
    """Watches the gradients that there are before the closure, and finds one that it does not zero.

    One that the closure replaced, or set to None, is zeroed. The others are told by their versions, which every write
    raises by one: is one still as it was when a backward pass of the closure begins to accumulate? Values are read only
    of a gradient written to once in all, which was zeroed and got nothing, or got something and was not zeroed.

    It misses one thing: in a closure with several backward passes which zeroes in place, and not everything, what is
    not zeroed and reached before the last parameter that has a gradient.
    """

    def __init__(self, params: list[Tensor]):
        self.before = [(p, ref(g), g._version) for p in params if (g := p.grad) is not None]
        self.untouched: set[Tensor] | None = None
        """Those as they were when the first pass began to accumulate; None while none did."""
        self.sharded, self.handle = in_shards(params), None
        last = next((p for p, _, _ in reversed(self.before) if p.requires_grad), None)
        if last is not None and not self.sharded:  # FSDP2 adds to shards behind autograd's back
            with torch.enable_grad():
                view: Any = last.view_as(last)
            ((self.node, _),) = view.grad_fn.next_functions  # lives while somebody holds it
            self.handle = self.node.register_prehook(self._look)

    def _look(self, _: Any) -> None:
        if self.untouched is None:
            self.untouched = {p for p, _, writes in self._still_there() if not writes}

    def _still_there(self) -> list[tuple[Tensor, Tensor, int]]:
        """List what was not replaced: the parameter, its gradient, and how often that was written to."""
        same = ((p, g, version) for p, known, version in self.before if (g := known()) is not None and p.grad is g)
        return [(p, g, g._version - version) for p, g, version in same]

    def release(self) -> None:
        """Stop watching: the closure is over."""
        if self.handle is not None:
            self.handle.remove()

    def kept(self) -> Tensor | None:
        """Return a parameter whose gradient the closure did not zero."""
        for p, g, writes in self._still_there():
            if not writes or p in (self.untouched or ()):
                return p
            if writes == 1 and self.untouched is not None and bool(g.any()):
                return p
        return None
