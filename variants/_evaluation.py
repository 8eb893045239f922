"""The evaluations of one step: what a closure may find and return, and how its gradients become the step's own."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from ..errors import ConfigError, StateError
from ._gradient import Gradient
from ._leftovers import Leftovers
from ._ownership import SparseGradient, take
from ._shards import forget_gathered

RETURNS = "a closure zeroes the gradients, runs forward and backward, and returns the loss"


class SkipStep(Exception):
    """The closure returned None: this batch makes no step."""


def forget_casts() -> None:
    """Drop what was computed from the weights, since they have moved: by autocast, ``parametrize.cached``, FSDP2."""
    torch.clear_autocast_cache()
    if parametrize._cache:
        parametrize._cache.clear()
    forget_gathered()


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
        leftovers = Leftovers(self.every) if self.absent is None else None
        forget_casts()
        try:
            with torch.enable_grad():
                returned = closure(**request)
        finally:
            if leftovers:
                leftovers.release()
        if returned is None:
            for p in self.every:
                p.grad = None
            raise SkipStep
        loss = _scalar(returned)
        if leftovers and (kept := leftovers.kept()) is not None:
            raise StateError(
                f"{self.name(kept)} has a gradient from before the step, and the closure accumulates onto it: zero the "
                "gradients at the start of the closure (optimizer.zero_grad()), and run forward and backward there; to "
                "accumulate over micro-batches, run all of them inside the closure"
            )
        if self.absent is None:
            # a loss without a graph may be a constant, which moves nothing
            moves = returned.requires_grad if isinstance(returned, Tensor) else True
            self._choose(moves or getattr(closure, "differentiates", False))
        elif thawed := [p for p in self.others if p.grad is not None]:
            raise StateError(
                f"{self.name(thawed[0])} has a gradient and was frozen at the first evaluation of this step: freeze "
                "and thaw parameters between steps"
            )
        return self._take(loss)

    def _choose(self, moves: bool) -> None:
        """Find the parameters of the step; where its loss says that it moves some, one of them has a gradient."""
        self.params = [p for p in self.every if p.grad is not None or p.requires_grad]
        if len(self.params) < len(self.every):
            chosen = set(self.params)
            self.others = [p for p in self.every if p not in chosen]
        if moves and self.params and all(p.grad is None for p in self.params):
            raise ConfigError(
                f"the closure left no gradient on any parameter: {RETURNS} (None skips the batch); is backward() "
                "missing, or is the loss, or the oracle, of another model?"
            )

    def _take(self, loss: Tensor) -> Gradient:
        try:
            taken = take(self.params)
        except SparseGradient as found:
            (at,) = found.args
            raise ConfigError(
                f"{self.name(self.params[at])} has a sparse gradient; only dense ones can be used: build the embedding "
                "with sparse=False"
            ) from None
        absent: set[Tensor] = set()
        for i, g in enumerate(taken):
            if g is None:
                absent.add(self.params[i])
                taken[i] = torch.zeros_like(self.params[i])
        self.absent = absent if self.absent is None else self.absent & absent
        return Gradient(loss, list(self.params), cast(list[Tensor], taken))


def _scalar(returned: Any) -> Tensor:
    """Return the loss as a 0-d tensor of its own: the next pass may write into what the closure returned."""
    if isinstance(returned, Tensor) and returned.numel() == 1:
        return returned.detach().reshape(()).clone()
    if isinstance(returned, Real):
        return torch.as_tensor(returned)
    what = f"a {type(returned).__name__}"
    if isinstance(returned, Tensor):
        what = f"a tensor of shape {tuple(returned.shape)}"
    raise ConfigError(f"the closure returned {what}: {RETURNS}, a scalar tensor or a number (None skips the batch)")
