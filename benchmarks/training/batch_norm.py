"""BatchNorm in a step of several passes: which of them moves the running statistics."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm

POLICIES = ("first", "all", "last")
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Bytes of an element -> a type whose copies have the same bits."""


class Copy(NamedTuple):
    """Copies of buffers in one row of memory."""

    row: Tensor
    parts: Sequence[Tensor]
    """The row again, cut where a buffer ends."""


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
        self.buffers = [buffer for module in moved for buffer in module.buffers(recurse=False)]
        self._look_at_memory()

    def _look_at_memory(self) -> None:
        """See the buffers of a device as numbers of one type and dimension, on their own memory, for few launches."""
        groups: dict[object, list[Tensor]] = {}
        for buffer in self.buffers:
            groups.setdefault(buffer.device if buffer.is_contiguous() else id(buffer), []).append(buffer)
        self._places = [buffer.data_ptr() for buffer in self.buffers]
        self._groups = [_bits(group) for group in groups.values()]
        self._spare: list[list[Copy]] = []
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

    def copy(self, into: list[Copy] | None = None) -> list[Copy]:
        """Return copies of all running statistics, which on a GPU is one launch for 128 of them.

        Args:
            into: copies that are of no use any more, to write into; by default new ones are made.
        """
        if [buffer.data_ptr() for buffer in self.buffers] != self._places:  # somebody has set the data of one
            self._look_at_memory()
            into = None
        if into is None:
            rows = [torch.cat(group) for group in self._groups]
            cuts = [[len(buffer) for buffer in group] for group in self._groups]
            return [Copy(row, row.split(cut)) for row, cut in zip(rows, cuts, strict=True)]
        for group, copy in zip(self._groups, into, strict=True):
            torch.cat(group, out=copy.row)
        return into

    def put_back(self, copies: list[Copy]) -> None:
        """Write copies back in place: one launch for 64 of them."""
        for group, copy in zip(self._groups, copies, strict=False):
            torch._foreach_copy_(group, list(copy.parts))


def _bits(buffers: list[Tensor]) -> list[Tensor]:
    """Return views (n,) of buffers that are contiguous, all as numbers of the type of the smallest; others alone."""
    if not all(buffer.is_contiguous() for buffer in buffers):
        return buffers
    kind = _BITS[min(8, *(buffer.element_size() for buffer in buffers))]
    return [buffer.detach().view(-1).view(kind) for buffer in buffers]
