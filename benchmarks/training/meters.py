"""What is measured of a run while it trains: peak memory, time, and the passes that were computed."""

import sys
import time
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import torch

RUNS_IN_PROCESS: ContextVar[int] = ContextVar("RUNS_IN_PROCESS", default=1)
"""Runs that this process makes at a time, at most; set in each of the threads that make them."""
_PROCESS = Path("/proc/self")


class PeakMemory:
    """Watches the peak from its construction on.

    On CUDA it is what PyTorch's allocator had given out at most (``torch.cuda.max_memory_allocated``): tensors, not
    the CUDA context and not the allocator's cache. On the CPU it is the largest resident set of the process,
    interpreter, libraries and data included, as the operating system counts it. The two do not compare.

    A process that makes several runs starts each with a fresh peak. A run that was resumed has the peak of the
    process that ended it. Of runs that share a process none has a peak of its own, and none is told.

    Args:
        device: device that the run trains on.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.shared = device, RUNS_IN_PROCESS.get() > 1
        if self.shared:
            return
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            with suppress(OSError):  # Linux; elsewhere the peak is that of the process's whole life
                (_PROCESS / "clear_refs").write_text("5")

    def bytes(self) -> int | None:
        """Return the peak so far, or ``None`` where the system does not tell, or others share in it."""
        if self.shared:
            return None
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        with suppress(OSError):
            for line in (_PROCESS / "status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return 1024 * int(line.split()[1])  # the kernel writes kB and means KiB
        with suppress(ImportError):
            import resource

            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return most if sys.platform == "darwin" else 1024 * most
        return None


class Clock:
    """Seconds that were spent while it ran; a GPU is waited for where the clock starts and stops."""

    def __init__(self, device: torch.device):
        self.device, self.seconds, self.started = device, 0.0, None

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()  # of other runs of this process nothing
        return time.perf_counter()

    def start(self) -> None:
        self.started = self._now()

    def stop(self) -> float:
        """Stop and return the seconds so far."""
        if self.started is not None:
            self.seconds += self._now() - self.started
            self.started = None
        return self.seconds


@dataclass
class RunningCounters:
    """What was computed so far. One gradient evaluation is one forward and backward over one full batch."""

    gradient_evaluations: float = 0.0
    forward_evaluations: float = 0.0
    samples: int = 0
    skipped_steps: int = 0
