"""The evaluations of one step: what a closure may find and return, and how its gradients become the step's own."""

from collections.abc import Callable, Mapping
from numbers import Real
from sys import getrefcount
from typing import Any
from weakref import ref

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge
from torch.nn.utils import parametrize

from ..errors import ConfigError, StateError
from ._gradient import Gradient

RETURNS = "a closure zeroes the gradients, runs forward and backward, and returns the loss"


class SkipStep(Exception):
    """The closure returned None: this batch makes no step."""


def forget_casts() -> None:
    """Drop what autocast and ``parametrize.cached`` computed from the weights: the weights have moved since."""
    torch.clear_autocast_cache()
    if parametrize._cache:
        parametrize._cache.clear()


class Evaluations:
    """The evaluations of one step.

    Every gradient of a step lists the same parameters in the same order, those that require one at the step's first
    evaluation; where a pass leaves none, it is zero. So gradients of different passes pair by position.

    Args:
        every: all parameters of the optimizer.
        name: returns what to call a parameter in an error.
    """

    def __init__(self, every: list[Tensor], name: Callable[[Tensor], str]):
        self.every, self.name = every, name
        self.params: list[Tensor] = []
        """Those of this step, known once there was an evaluation."""
        self.others: list[Tensor] = []
        """The rest, which are frozen."""
        self.absent: set[Tensor] | None = None
        """Parameters of the step that no pass has left a gradient for; None before the first pass."""

    def evaluate(self, closure: Callable[..., Any], request: Mapping[str, Any]) -> Gradient:
        """Call the closure at the present weights and take its gradients; ``p.grad`` is None afterwards.

        Raises:
            SkipStep: it returned None.
            ConfigError: it returned something other than a loss, left no gradient, or left a sparse one.
            StateError: it accumulated onto a gradient from before the step.
        """
        leftover = _Leftover.of(self.every) if self.absent is None else None
        forget_casts()
        try:
            with torch.enable_grad():
                returned = closure(**request)
        finally:
            if leftover:
                leftover.release()
        if returned is None:
            for p in self.every:
                p.grad = None
            raise SkipStep
        loss = _scalar(returned)
        if leftover and leftover.accumulated():
            raise StateError(
                f"{self.name(leftover.param)} has a gradient from before the step, and the closure accumulates onto "
                "it: zero the gradients at the start of the closure (optimizer.zero_grad()), and run forward and "
                "backward there; to accumulate over micro-batches, run all of them inside the closure"
            )
        if self.absent is None:
            self.params = [p for p in self.every if p.requires_grad or p.grad is not None]
            self.others = [p for p in self.every if not p.requires_grad and p.grad is None]
            # a loss without a graph may be a constant, which moves nothing
            waits = returned.requires_grad if isinstance(returned, Tensor) else bool(self.params)
            if waits and all(p.grad is None for p in self.params):
                raise ConfigError(
                    f"the closure left no gradient on any parameter: {RETURNS} (None skips the batch); is backward() "
                    "missing, or does the loss not depend on the parameters?"
                )
        elif thawed := [p for p in self.others if p.grad is not None]:
            raise StateError(
                f"{self.name(thawed[0])} has a gradient and was frozen at the first evaluation of this step: freeze "
                "and thaw parameters between steps"
            )
        return self._take(loss)

    def _take(self, loss: Tensor) -> Gradient:
        values: list[Tensor] = []
        absent: set[Tensor] = set()
        for p in self.params:
            g = p.grad
            if g is None:
                absent.add(p)
                values.append(torch.zeros_like(p))
                continue
            p.grad = None
            if g.layout is not _STRIDED:
                raise ConfigError(
                    f"{self.name(p)} has a sparse gradient ({g.layout}); only dense ones can be used: build the "
                    "embedding with sparse=False"
                )
            # what others can still write to, or what cannot be written to, is copied
            if (
                getrefcount(g) > _REFERENCES
                or _holders(g.untyped_storage()._cdata) > _HOLDERS
                or g.requires_grad
                or (not g.is_contiguous() and 0 in g.stride())
            ):
                g = g.detach().clone()
            values.append(g)
        self.absent = absent if self.absent is None else self.absent & absent
        return Gradient(loss, list(self.params), values)


class _Leftover:
    """Watches one gradient from before the step: is it zeroed before the closure adds to it?

    The gradient's version tells, at the moment when autograd is about to accumulate: no value is read.
    """

    def __init__(self, param: Tensor, gradient: Tensor):
        self.param, self.gradient, self.version = param, ref(gradient), gradient._version
        self.kept: bool | None = None
        with torch.enable_grad():
            self.node = get_gradient_edge(param).node  # lives as long as somebody holds it
        self.handle = self.node.register_prehook(self._look)

    @classmethod
    def of(cls, params: list[Tensor]) -> "_Leftover | None":
        """Watch the first gradient that there is; a closure zeroes all of them or none."""
        for p in params:
            if p.grad is not None and p.requires_grad:
                return cls(p, p.grad)
        return None

    def _look(self, _: Any) -> None:
        if self.kept is None:
            self.kept = self._untouched()

    def _untouched(self) -> bool:
        g = self.param.grad
        return g is not None and g is self.gradient() and g._version == self.version

    def release(self) -> None:
        self.handle.remove()

    def accumulated(self) -> bool:
        return bool(self.kept) or self._untouched()


def _scalar(returned: Any) -> Tensor:
    """Return the loss as a detached 0-d tensor."""
    if isinstance(returned, Tensor) and returned.numel() == 1:
        return returned.detach().reshape(())
    if isinstance(returned, Real):
        return torch.as_tensor(returned)
    what = f"a {type(returned).__name__}"
    if isinstance(returned, Tensor):
        what = f"a tensor of shape {tuple(returned.shape)}"
    raise ConfigError(f"the closure returned {what}: {RETURNS}, a scalar tensor or a number (None skips the batch)")


_STRIDED = torch.strided
_holders = torch._C._storage_Use_Count


def _sole() -> tuple[int, int]:
    """Count the references to a tensor and to its memory that only a local variable holds."""
    g = torch.empty(1)
    return getrefcount(g), _holders(g.untyped_storage()._cdata)


_REFERENCES, _HOLDERS = _sole()
