"""BatchNorm in a step of several passes: which of them moves the running statistics."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm

from ...variants._gradient import copied

POLICIES = ("first", "all", "last")


class RunningStatistics:
    """Freezes and thaws the running statistics of a model's BatchNorm layers, and what else a pass leaves behind:
    those of InstanceNorm, and the vectors of spectral normalization (``torch.nn.utils.parametrizations``).

    A frozen layer still normalizes by the statistics of the batch, so the function and its gradient are those of
    training; what it made of ``running_mean``, ``running_var`` and ``num_batches_tracked`` is undone. Setting the
    momentum to zero, the usual trick, keeps counting batches and forgets the momentum when it nests; any attribute of
    a layer, ``track_running_stats`` too, may be overlooked by a model that was compiled before (by torch 2.11, it is).
    """

    def __init__(self, model: nn.Module):
        self.layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        moved = [m for m in model.modules() if isinstance(m, _NormBase | _SpectralNorm)]
        buffers = [buffer for module in moved for buffer in module.buffers(recurse=False)]
        kinds = dict.fromkeys((buffer.dtype, buffer.device) for buffer in buffers)
        self.buffers = [[b for b in buffers if (b.dtype, b.device) == kind] for kind in kinds]
        self._spare: list[list[list[Tensor]]] = []
        """Copies that no open block of :meth:`frozen` holds, for the next one to write into."""

    def frozen(self, freeze: bool = True) -> AbstractContextManager[None]:
        """Put back after the block what was before; blocks may nest, and hold backward passes with their forward ones:
        autograd refuses buffers that change in between."""
        return self._frozen() if freeze and self.buffers else nullcontext()

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        before = self.copy(self._spare.pop() if self._spare else None)
        try:
            yield
        finally:
            self.put_back(before)
            self._spare.append(before)

    @torch.no_grad()
    def recompute(self, model: nn.Module, passes: Iterable[Callable[[], object]]) -> int:
        """Set the running statistics to the mean over forward passes at the present weights.

        Args:
            model: whose layers these are; everything but its BatchNorm layers is in evaluation mode meanwhile.
            passes: each runs the model on one batch.

        Returns:
            The number of passes; 0 for a model that has no running statistics.
        """
        if not self.layers:
            return 0
        training, momenta = model.training, [layer.momentum for layer in self.layers]
        model.eval()
        try:
            for layer in self.layers:
                layer.reset_running_stats()
                layer.momentum = None  # the plain mean over batches
                layer.train()
            return sum(1 for run in passes for _ in [run()])
        finally:
            for layer, momentum in zip(self.layers, momenta, strict=True):
                layer.momentum = momentum
            model.train(training)

    def copy(self, into: list[list[Tensor]] | None = None) -> list[list[Tensor]]:
        """Return copies of all running statistics, in groups that one launch copies: of one type on one device.

        Args:
            into: copies that are of no use any more, to write into; by default new ones are made.
        """
        if into is None:
            return [copied(group) for group in self.buffers]
        for group, copy in zip(self.buffers, into, strict=True):
            torch._foreach_copy_(copy, group)
        return into

    def put_back(self, copies: list[list[Tensor]]) -> None:
        """Write copies back in place."""
        for group, copy in zip(self.buffers, copies, strict=False):
            torch._foreach_copy_(group, copy)
