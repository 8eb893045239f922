"""The devices of this machine: the one to train on, and the number of cores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto") -> "torch.device":
    """Return a device by name; ``auto`` takes CUDA, then the CPU.

    Raises:
        ConfigError: the device is not there, or has no float64, in which losses are summed: Apple's MPS.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        float(torch.zeros((), device=device, dtype=torch.float64))  # a meta tensor has no value
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"device {name!r} cannot be used: {reason}; valid here: auto, cpu") from error
    return device


def with_generator(device: "torch.device") -> "list[torch.device]":
    """Return what ``torch.random.fork_rng`` is to keep beside the CPU's generator: that of this device and no other."""
    return [device] if device.type == "cuda" else []


def generator_of(device: "torch.device") -> "torch.Generator":
    """Return the generator that random operations on a device draw from by default.

    ``torch.cuda.manual_seed`` means the current device, which need not be the one of the model.
    """
    import torch

    if device.type != "cuda":
        return torch.default_generator
    return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]


def pick_gpus(wanted: "tuple[int, ...] | None" = None) -> tuple[int, ...]:
    """Return the numbers of GPUs that this process sees, all or those wanted; ``CUDA_VISIBLE_DEVICES`` hides the rest.

    Raises:
        ConfigError: one that is wanted is not there, or is named twice.
    """
    import torch

    seen = tuple(range(torch.cuda.device_count()))
    if wanted is None:
        return seen
    if bad := [number for number in wanted if number not in seen]:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        where = "here" if hidden is None else f"under CUDA_VISIBLE_DEVICES={hidden}"
        raise ConfigError(f"there is no GPU {bad[0]} {where}; valid: {', '.join(map(str, seen)) or 'none'}")
    if len({*wanted}) < len(wanted) or not wanted:
        raise ConfigError(f"gpus={','.join(map(str, wanted))} is not valid: name each GPU once, as in 0,2")
    return wanted


@contextmanager
def only_gpus(numbers: tuple[int, ...]) -> Iterator[None]:
    """Let processes that this one starts inside the block see these GPUs only, of those that it sees itself."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = before.split(",") if before else [str(number) for number in range(max(numbers) + 1)]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[number] for number in numbers)
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        os.environ.update({} if before is None else {"CUDA_VISIBLE_DEVICES": before})


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
