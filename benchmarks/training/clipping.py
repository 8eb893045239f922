"""Clipping the gradient that a base optimizer steps with, and no other of the step that it ends."""

import weakref
from collections.abc import Iterable
from functools import cache
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from ...errors import ConfigError
from ...variants import StepRule


class FinalClip:
    """Shortens final gradients, from :meth:`start` until the rule's step or :meth:`stop`.

    Args:
        params: of the model.
        norm: largest norm of the gradient.
    """

    def __init__(self, params: list[nn.Parameter], norm: float):
        self.params, self.norm, self.active = params, norm, False

    def start(self) -> None:
        """Begin with a step."""
        _watch_optimizers()
        _CLIPS.add(self)
        self.active = True

    def stop(self) -> None:
        """Leave alone what others do with the parameters."""
        self.active = False

    def before_step(self, optimizer: Optimizer, arguments: Iterable[Any]) -> None:
        if isinstance(optimizer, StepRule):
            return
        if any(getattr(one, "clipping", None) is self for one in arguments):  # the oracle as a closure
            raise ConfigError(
                f"clip= acts between the passes and the base step, which {type(optimizer).__name__} does not show: "
                "wrap it (create('sgd', model, base=...)), or clip in the loop"
            )
        if self.active and (params := self._held_by(optimizer)):
            nn.utils.clip_grad_norm_(params, self.norm)

    def after_step(self, optimizer: Optimizer) -> None:
        if isinstance(optimizer, StepRule) and self.active and self._held_by(optimizer):
            self.stop()

    def _held_by(self, optimizer: Optimizer) -> list[nn.Parameter]:
        held = {p for group in optimizer.param_groups for p in group["params"]}
        return [p for p in self.params if p in held]


_CLIPS: "weakref.WeakSet[FinalClip]" = weakref.WeakSet()


@cache
def _watch_optimizers() -> None:
    """Show base steps to all clips.

    An oracle never meets the optimizer that it is handed to, so torch's hooks for all optimizers it is. They stay: the
    end of an oracle, at whatever moment, may not change what torch is iterating over.
    """

    def before(optimizer: Optimizer, arguments: Any, named: Any) -> None:
        for clip in _CLIPS:
            clip.before_step(optimizer, (*arguments, *named.values()))

    def after(optimizer: Optimizer, *_: Any) -> None:
        for clip in _CLIPS:
            clip.after_step(optimizer)

    register_optimizer_step_pre_hook(before)
    register_optimizer_step_post_hook(after)
