"""BatchNorm in a step of several passes: which of them moves the running statistics."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

POLICIES = ("first", "all", "last")


class RunningStatistics:
    """Freezes and thaws the running statistics of a model's BatchNorm layers.

    A frozen layer still normalizes by the statistics of the batch, so the function and its gradient are those of
    training; it only leaves ``running_mean``, ``running_var`` and ``num_batches_tracked`` alone. Setting the momentum
    to zero, the usual trick, keeps counting batches and forgets the momentum when it nests.
    """

    def __init__(self, model: nn.Module):
        self.layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        self.buffers = [buffer for layer in self.layers for buffer in layer.buffers(recurse=False)]

    @contextmanager
    def frozen(self, freeze: bool = True) -> Iterator[None]:
        """Freeze inside the block and put back what was before; blocks may nest."""
        before = [layer.track_running_stats for layer in self.layers]
        try:
            for layer in self.layers:
                layer.track_running_stats = layer.track_running_stats and not freeze
            yield
        finally:
            for layer, tracked in zip(self.layers, before, strict=True):
                layer.track_running_stats = tracked

    def copy(self) -> list:
        """Return copies of all running statistics."""
        return [buffer.clone() for buffer in self.buffers]

    def put_back(self, copies: list) -> None:
        """Write copies back in place."""
        for buffer, copy in zip(self.buffers, copies, strict=True):
            buffer.copy_(copy)
