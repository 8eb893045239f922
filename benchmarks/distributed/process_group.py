"""The processes that train one run together: one device each, the same steps, the same decisions.

Every process holds the whole model and the whole data set, and draws the same batches. It must decide nothing alone:
:class:`ProcessGroup` has every message that the processes exchange. A run on one device uses ``SINGLE_PROCESS``, a
group of size one whose methods return at once, so that no caller has to ask how many processes there are.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from ...errors import SambenchError, StateError

Answer = TypeVar("Answer")
SYNC_EVERY_STEPS = 50
"""Most steps between two questions whether to stop."""
SYNC_EVERY_SECONDS = 1.0
"""Time between two such questions that is aimed at."""
_FAILURE = "failure"


class ProcessLost(StateError):
    """Another process of the run is gone; why, this one cannot tell."""


def is_lost(error: BaseException) -> bool:
    """Tell whether an error says no more than that another process is gone, which has the cause."""
    if isinstance(error, SambenchError):
        return isinstance(error, ProcessLost)
    return isinstance(error, dist.DistError) or "gloo" in str(error)  # gloo's errors are plain RuntimeErrors


class ProcessGroup:
    """Messages between the processes of one run. All of them call the same methods in the same order.

    Tensors on the CPU are sent by gloo, tensors on a GPU by NCCL.

    Args:
        rank: number of this process, 0, 1, ..., size - 1.
        size: number of processes, which is the number of devices.
        store: the key-value store of the rendezvous; carries the reason why one of the processes failed.
    """

    def __init__(self, rank: int = 0, size: int = 1, store: dist.Store | None = None):
        self.rank, self.size, self.store = rank, size, store
        self._asked_step, self._asked_at, self._ask_next = 0, time.monotonic(), 0

    @property
    def is_main_process(self) -> bool:
        """Whether this process is the one that reads and writes files."""
        return self.rank == 0

    # -- tensors ---------------------------------------------------------------------------------------------

    def shard(self, count: int) -> slice:
        """Return which of ``count`` rows are this process's: a contiguous part, of sizes that differ by one at most.

        Example:
            >>> [len(range(10)[ProcessGroup(rank, 4).shard(10)]) for rank in range(4)]
            [2, 3, 2, 3]
        """
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum_(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their sums over the processes, the same bits on each: one message for each type."""
        if self.size == 1:
            return
        for dtype in dict.fromkeys(t.dtype for t in tensors):
            alike = [t for t in tensors if t.dtype == dtype]
            flat = torch.cat([t.reshape(-1) for t in alike])
            dist.all_reduce(flat)
            parts = flat.split([t.numel() for t in alike])
            torch._foreach_copy_(alike, [part.view(t.shape) for part, t in zip(parts, alike, strict=True)])

    def mean_(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their means over the processes."""
        if self.size > 1 and tensors:
            self.sum_(tensors)
            torch._foreach_div_(tensors, self.size)

    def all_gather_rows(self, rows: Tensor, at: Any, count: int) -> Tensor:
        """Gather rows of all processes into one tensor.

        Args:
            rows: (b, ...), those of this process.
            at: their places in the whole: a slice, or int64 (b,). Together the processes fill every place once.
            count: number of all rows, n.

        Returns:
            (n, ...), every row with the bits that its process gave.
        """
        if self.size == 1:
            return rows
        whole = rows.new_zeros(count, *rows.shape[1:])
        whole[at] = rows
        dist.all_reduce(whole)
        return whole

    # -- decisions -------------------------------------------------------------------------------------------

    def broadcast_from_main(self, act: Callable[[], Answer]) -> Answer:
        """Call a function in the main process, and return its result, or raise its error, in all of them."""
        if self.size == 1:
            return act()
        box: list[Any] = [None]
        if self.is_main_process:
            try:
                box = [(act(), None)]
            except Exception as error:
                box = [(None, error)]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        answer, error = box[0]
        if error is not None:
            raise error
        return answer

    def any(self, here: bool) -> bool:
        """Tell every process whether something is so in one of them."""
        if self.size == 1:
            return here
        there = torch.tensor([float(here)])
        self.sum_([there])
        return bool(there)

    def gather_objects(self, value: Any) -> list[Any]:
        """Return the values of all processes, by rank, in the main process; an empty list in the others."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size if self.is_main_process else []
        dist.gather_object(value, values if self.is_main_process else None, dst=0)
        return values

    def sync_stop_and_save(self, step: int, stop: bool, save: bool, *, now: bool = False) -> tuple[bool, bool]:
        """Decide for all processes whether to stop and whether to write a checkpoint.

        All stop when one was asked to; the clock of the main process decides when a checkpoint is due. A single
        process decides at once. Several exchange a message for it, which each waits for: about once a second, at steps
        that all of them compute from the pace so far. At the steps between, the answer is no.

        Args:
            step: number of steps made; the same in all processes.
            stop: whether this process was asked to stop.
            save: whether a checkpoint is due by this process's clock.
            now: exchange the message at this step in any case.

        Returns:
            whether to stop, and whether to write a checkpoint; the same in all processes.
        """
        if self.size == 1:
            return stop, save
        if self._asked_step <= step < self._ask_next and not now:  # an earlier run of this group counted on its own
            return False, False
        elapsed = time.monotonic() - self._asked_at
        wishes = torch.tensor([float(stop), float(save and self.is_main_process), elapsed], dtype=torch.float64)
        dist.all_reduce(wishes, dist.ReduceOp.MAX)
        pace = (step - self._asked_step) / max(float(wishes[2]), 1e-6)
        self._ask_next = step + min(SYNC_EVERY_STEPS, max(1, int(pace * SYNC_EVERY_SECONDS)))
        self._asked_step, self._asked_at = step, time.monotonic()
        return bool(wishes[0]), bool(wishes[1])

    def check_same(self, tensors: list[Tensor], what: str) -> None:
        """Make sure that tensors have the same bits on every process.

        Raises:
            StateError: they do not. Sums over their bytes are compared, which any rounding difference changes.
        """
        if self.size == 1:
            return
        sums = torch.stack([t.detach().reshape(-1).view(torch.uint8).sum(dtype=torch.int64) for t in tensors])
        least, most = sums.clone(), sums.clone()
        dist.all_reduce(least, dist.ReduceOp.MIN)
        dist.all_reduce(most, dist.ReduceOp.MAX)
        if not torch.equal(least, most):
            raise StateError(
                f"{what} differ between the {self.size} devices of this run: something that only one device sees "
                "decides a step. A variant must move weights through descend(), or by what average() returned"
            )

    def reason(self, error: Exception) -> str:
        """Return why the run failed: the error of the process that failed first, which need not be this one.

        Raises:
            ProcessLost: another process is gone and left no reason: it was killed, or its machine is down.
        """
        own = f"{type(error).__name__}: {error}"
        if self.size == 1 or self.store is None:
            return own
        lost = is_lost(error)
        try:
            if not lost:
                return self.store.compare_set(_FAILURE, "", f"{own} (on device {self.rank})").decode()
            if self.store.check([_FAILURE]):
                return self.store.get(_FAILURE).decode()
        except RuntimeError:  # the store was in the process that is gone
            if not lost:
                return own
        raise ProcessLost(
            "another process of this run died without giving a reason; the run goes on from its last checkpoint when "
            "it is started again"
        ) from error


SINGLE_PROCESS = ProcessGroup()
"""The group of a run on one device."""
