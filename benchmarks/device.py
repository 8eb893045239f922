"""The devices of this machine: the one to train on, and the number of cores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto") -> "torch.device":
    """Return a device by name; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: the device is not there.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        float(torch.zeros((), device=device))  # a meta tensor has no value
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"device {name!r} cannot be used: {reason}; valid here: auto, cpu") from error
    return device


def cores() -> int:
    """Number of CPU cores that this process may use: those that ``taskset``, a container or SLURM left to it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Compute with a number of threads inside the block; after it, however it ends, with as many as before.

    The order of a sum depends on the number, so a run that goes on with another one ends in other bits.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
