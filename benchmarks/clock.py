"""A stopwatch that knows that a GPU works on while the program goes ahead."""

import time

import torch


class Clock:
    """Seconds that were spent while it ran; a GPU is waited for where the clock starts and stops."""

    def __init__(self, device: torch.device):
        self.device, self.seconds, self.started = device, 0.0, None

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def start(self) -> None:
        self.started = self._now()

    def stop(self) -> float:
        """Stop and return the seconds so far."""
        if self.started is not None:
            self.seconds += self._now() - self.started
            self.started = None
        return self.seconds
