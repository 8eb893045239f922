"""BatchNorm in a step of several passes: which of them moves the running statistics."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm

POLICIES = ("first", "all", "last")
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Bytes of an element -> a type whose copies have the same bits."""


class Group(NamedTuple):
    """Buffers that are copied together."""

    buffers: list[Tensor]
    bits: list[Tensor]
    """The same memory as numbers of one type, (n,) each."""
    kinds: list[tuple[torch.dtype, torch.Size]]


class Copy(NamedTuple):
    """Copies of buffers."""

    places: list[int]
    """Where the buffers lay."""
    groups: list[Group]
    rows: list[Tensor]
    """Of each group, in one row of memory."""
    parts: list[list[Tensor]]
    """The rows again, cut where a buffer ends."""


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
        self._places: list[int] = []
        self._groups: list[Group] = []
        self._spare: list[Copy] = []
        """Copies that no open block of :meth:`frozen` holds, for the next one to write into."""

    def _look_at_memory(self) -> list[int]:
        """See the buffers of a device as numbers of one type, for few launches; return where the buffers lie.

        They lie elsewhere when somebody has set their data, or a lazy layer has met its first batch.
        """
        places = [buffer.data_ptr() for buffer in self.buffers]
        if places != self._places:
            groups: dict[object, list[Tensor]] = {}
            for buffer in sorted(self.buffers, key=Tensor.element_size, reverse=True):  # each at a multiple of its size
                groups.setdefault(buffer.device if buffer.is_contiguous() else id(buffer), []).append(buffer)
            self._places, self._spare = places, []
            self._groups = [
                Group(group, _bits(group), [(buffer.dtype, buffer.shape) for buffer in group])
                for group in groups.values()
            ]
        return places

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
            if before.places == self._places:
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

    def copy(self, into: Copy | None = None) -> Copy:
        """Return copies of all running statistics, which on a GPU is one launch for 128 of them.

        Args:
            into: copies that are of no use any more, to write into; by default new ones are made.
        """
        places = self._look_at_memory()
        if into is None or into.places != places:
            rows = [torch.cat(group.bits) for group in self._groups]
            cuts = [[len(one) for one in group.bits] for group in self._groups]
            parts = [list(row.split(cut)) for row, cut in zip(rows, cuts, strict=True)]
            return Copy(places, self._groups, rows, parts)
        for group, row in zip(into.groups, into.rows, strict=True):
            torch.cat(group.bits, out=row)
        return into

    def put_back(self, copy: Copy) -> None:
        """Write copies back in place: one launch for 64 of them."""
        unmoved = [buffer.data_ptr() for buffer in self.buffers] == copy.places
        for group, parts in zip(copy.groups, copy.parts, strict=True):
            if unmoved:
                torch._foreach_copy_(group.bits, parts)
                continue
            for buffer, part, (dtype, shape) in zip(group.buffers, parts, group.kinds, strict=True):
                buffer.copy_(part.view(dtype).view(shape))


def _bits(buffers: list[Tensor]) -> list[Tensor]:
    """Return views (n,) of buffers that are contiguous, all as numbers of the type of the smallest; others alone."""
    if not all(buffer.is_contiguous() for buffer in buffers):
        return buffers
    kind = _BITS[min(8, *(buffer.element_size() for buffer in buffers))]
    return [buffer.detach().view(-1).view(kind) for buffer in buffers]
