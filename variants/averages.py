"""Weight averages: what is evaluated instead of the last weights, under any step rule."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..hyper import Hyper, Value, resolve
from ..registry import Registry
from ._shards import local
from .info import Paper, check_plugin

AVERAGES: "Registry[type[WeightAverage]]" = Registry("weight average", __package__ or "sambench.variants")
"""The weight averages, by name: ``@AVERAGES.register`` adds a class."""

STATISTICS = ("averaged", "recomputed")


def wide(tensor: Tensor) -> Tensor:
    """Return a tensor in at least float32: small steps of an average get lost in half precision."""
    return tensor if tensor.dtype.itemsize >= 4 else tensor.float()


@AVERAGES.register
class WeightAverage:
    r"""No average: the last weights are evaluated. The base of all averages, which follow training without changing it:

    .. math:: a \leftarrow a + c_t\, (w_t - a), \qquad a = w_t \text{ the first time}

    after every step t for which :meth:`share` gives a :math:`c_t`. It works in any training loop::

        average = create_average("ema", model, steps_per_epoch=len(loader), total_steps=epochs * len(loader))
        ...
        optimizer.step(closure)
        average.update()
        ...
        with average.applied():
            validate(model)

    BatchNorm's running statistics belong to weights. ``statistics`` says where those of the average come from: they are
    ``"averaged"`` with the same shares, or have to be ``"recomputed"`` from training data before it is evaluated, by
    the caller.

    Args:
        model: the network that is trained.
        hyper: the average's own resolved hyper-parameters. Their names start with the average's.
        steps_per_epoch: optimizer steps of an epoch, at least 1.
        total_steps: optimizer steps of the whole run, at least 1.
    """

    name: ClassVar[str] = "none"
    summary: ClassVar[str] = "the last weights"
    paper: ClassVar[Paper | None] = None
    hyper: ClassVar[Mapping[str, Hyper]] = {}
    status: ClassVar[str] = "reference"
    statistics: ClassVar[str] = "averaged"

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        check_plugin(cls)
        if cls.statistics not in STATISTICS:
            raise ConfigError(f"{cls.name!r} has statistics {cls.statistics!r}; valid: {', '.join(STATISTICS)}")

    def __init__(self, model: nn.Module, hyper: Mapping[str, Value], *, steps_per_epoch: int = 1, total_steps: int = 1):
        self.settings, self.steps_per_epoch, self.total_steps = dict(hyper), steps_per_epoch, total_steps
        buffers = [b for b in model.buffers() if b.is_floating_point()] if self.statistics == "averaged" else []
        self.live = [*model.parameters(), *buffers]
        self.average: list[Tensor] = []
        self.steps = self.count = 0

    # -- what an average implements --------------------------------------------------------------------------

    def share(self, step: int) -> float | None:
        """Return the weight c of the present model after ``step`` steps were made, or None to leave it out."""
        return None

    def schedule(self, progress: float) -> float | None:
        """Return the factor on the peak learning rate at a share of the run, or None to keep the run's schedule."""
        return None

    # -- what a caller uses ----------------------------------------------------------------------------------

    @torch.no_grad()
    def update(self, step: int | None = None) -> None:
        """Average in the weights after ``step`` steps in all, by default one more than the last time."""
        self.steps = self.steps + 1 if step is None else step
        share = self.share(self.steps)
        if share is None:
            return
        live = [wide(t) for t in self.live]
        if self.count == 0:
            self.average = [t.detach().clone() for t in live]
        else:
            self.average = [a.to(t) for a, t in zip(self.average, live, strict=True)]  # the model's type may change
            torch._foreach_lerp_(local(self.average), local(live), share)
        self.count += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights inside the block, and its own, bit for bit, after it.

        Before anything was averaged, the model keeps its own weights.
        """
        if self.count == 0:
            yield
            return
        stored = [t.detach().clone() for t in self.live]
        try:
            with torch.no_grad():
                torch._foreach_copy_(local(self.live), local(self.average))
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(local(self.live), local(stored))

    def copies(self) -> list[Tensor]:
        """Return the copies of the model's parameters that the average keeps."""
        return self.average

    def state_dict(self) -> dict[str, Any]:
        """What the rest of the run depends on."""
        return {"average": self.average, "steps": self.steps, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.average = [a.to(t.device, copy=True) for a, t in zip(state["average"], self.live, strict=False)]
        self.steps, self.count = int(state["steps"]), int(state["count"])


def create_average(
    name: str, model: nn.Module, *, steps_per_epoch: int = 1, total_steps: int = 1, **hyper: Any
) -> WeightAverage:
    """Create a weight average of a model.

    Raises:
        ConfigError: an unknown name or hyper-parameter, or a value out of range.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> average = create_average("ema", model, ema_decay=0.5, ema_warmup=False)
        >>> for value in (0.0, 1.0):
        ...     _ = nn.init.constant_(model.weight, value)
        ...     average.update()
        >>> with average.applied():
        ...     model.weight.item()
        0.5
        >>> model.weight.item()
        1.0
    """
    cls = AVERAGES.get(name)
    settings = resolve(f"weight average {name!r}", cls.hyper, hyper)
    return cls(model, settings, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
