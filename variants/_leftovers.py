"""Gradients from before a step: a closure has to zero all of them, or it would add to some."""

from functools import partial
from operator import attrgetter, is_not
from typing import Any
from weakref import ref

import torch
from torch import Tensor

from ._shards import in_shards

_gradient, _version = attrgetter("grad"), attrgetter("_version")
_exists = partial(is_not, None)


class Leftovers:
    """Watches the gradients that there are before the closure, and finds one that it does not zero.

    One that the closure replaced, or set to None, is zeroed. The others are told by their versions, which every write
    raises by one: is one still as it was when a backward pass of the closure begins to accumulate? Values are read only
    of a gradient written to once in all, which was zeroed and got nothing, or got something and was not zeroed.

    It misses one thing: in a closure with several backward passes which zeroes in place, and not everything, what is
    not zeroed and reached before the last parameter that has a gradient.
    """

    def __init__(self, params: list[Tensor]):
        gradients = list(map(_gradient, params))
        if not all(map(_exists, gradients)):
            params = [p for p in params if p.grad is not None]
            gradients = list(map(_gradient, params))
        self.params, self.known, self.versions = params, list(map(ref, gradients)), list(map(_version, gradients))
        self.untouched: set[Tensor] | None = None
        """Those as they were when the first pass began to accumulate; None while none did."""
        self.handle = None
        last = next((p for p in reversed(self.params) if p.requires_grad), None)
        if last is not None and not in_shards(params):  # FSDP2 adds to shards behind autograd's back
            with torch.enable_grad():
                view: Any = last.view_as(last)
            ((self.node, _),) = view.grad_fn.next_functions  # lives while somebody holds it
            self.handle = self.node.register_prehook(self._look)

    def _look(self, _: Any) -> None:
        if self.untouched is None:
            self.untouched = {p for p, _, writes in self._still_there() if not writes}

    def _still_there(self) -> list[tuple[Tensor, Tensor, int]]:
        """List what was not replaced: the parameter, its gradient, and how often that was written to."""
        there = [i for i, known in enumerate(self.known) if known() is not None]
        pairs = [(i, self.params[i], self.params[i].grad) for i in there]
        return [(p, g, g._version - self.versions[i]) for i, p, g in pairs if g is not None and g is self.known[i]()]

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
