"""torch's SGD without torch's compiler, whose import takes longer than a small run, and by a few calls a step.

torch imports it in the first optimizer of a process, to tell it what it may not look into. What it is told is of no use
to a step whose rule calls back into the caller's loop: the code below the decorators is the same.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

add_param_group = inspect.unwrap(Optimizer.add_param_group)
_step = inspect.unwrap(torch.optim.SGD.step)
_gradient, _sparse = attrgetter("grad"), attrgetter("is_sparse")
_CHOICES = ("maximize", "differentiable", "fused")
"""Settings that make a step more than a sum."""


def hooked(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step with torch's hooks around it where somebody listens: to ask whether takes less than to tell."""
    told = Optimizer.profile_hook_step(func)

    @wraps(func)
    def wrapper(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        listens = (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
            or torch.autograd._profiler_enabled()
        )
        return (told if listens else func)(self, *args, **kwargs)

    return wrapper


class SGD(torch.optim.SGD):
    """Stochastic gradient descent, as ``torch.optim.SGD`` makes it.

    References:
        Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", ICML
        2013, with the learning rate outside the velocity, as torch has it.
    """

    add_param_group = add_param_group
    profile_hook_step = staticmethod(hooked)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make one step; ``closure``, if there is one, is evaluated first and its loss returned."""
        lists = [self._lists(group) for group in self.param_groups]
        if closure is not None or None in lists:
            return _step(self, closure)
        for group, (params, values, buffers) in zip(self.param_groups, lists, strict=True):  # pyright: ignore[reportGeneralTypeIssues]
            if params:
                _move(params, values, buffers, group)
        return None

    def _lists(self, group: dict[str, Any]) -> tuple[list[Tensor], list[Tensor], list[Tensor]] | None:
        """Return parameters, gradients and momentum buffers; None where a step is more than a sum of them.

        Torch calls each operation once for all tensors on GPUs alone; on a CPU it has the same bits, too.
        """
        params = [p for p in group["params"] if p.grad is not None]
        values = list(map(_gradient, params))
        if (
            group["foreach"] is not None
            or any(map(group.get, _CHOICES))
            or not isinstance(group["lr"], float)
            or any(type(g) is not Tensor for g in values)
            or any(map(_sparse, values))
        ):
            return None
        buffers = [self.state[p].get("momentum_buffer") for p in params] if group["momentum"] else []
        return None if any(b is None for b in buffers) else (params, values, buffers)


def _move(params: list[Tensor], values: list[Tensor], buffers: list[Tensor], group: dict[str, Any]) -> None:
    """Make one step, in the operations and the order of torch's."""
    momentum, decay = group["momentum"], group["weight_decay"]
    if decay:
        values = list(torch._foreach_add(values, params, alpha=decay))
    if momentum:
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, values, alpha=1 - group["dampening"])
        values = list(torch._foreach_add(values, buffers, alpha=momentum)) if group["nesterov"] else buffers
    torch._foreach_add_(params, values, alpha=-group["lr"])
