"""How the processes of one run find each other: from the environment that torchrun or srun gives them."""

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed as dist

from ...atomic import make_folder
from ...errors import ConfigError, StateError
from ..device import pick_device
from .process_group import ProcessGroup

JOIN_TIMEOUT = timedelta(minutes=5)
"""How long a process waits for the others to start, and later for each of their messages."""

_meetings = itertools.count()


@dataclass(frozen=True)
class DistributedEnvironment:
    """Which process of a run this is: its rank of ``size``, and its number on its own machine."""

    rank: int
    size: int
    local: int
    job: str

    def device(self, name: str) -> torch.device:
        """Return this process's device; ``auto`` and ``cuda`` give each process of a machine a GPU of its own.

        Where a process sees one GPU only (``--gpus-per-task=1``), that is the one.

        Raises:
            ConfigError: there are more processes than GPUs, or one GPU was named for all of them.
        """
        device = pick_device(name)
        if device.type != "cuda":
            return device
        if device.index is not None:
            raise ConfigError(f"device {name!r} is one GPU, and {self.size} processes need one each: say cuda")
        there = torch.cuda.device_count()
        if there > 1 and self.local >= there:
            raise ConfigError(f"process {self.local} of this machine has no GPU of its own: there are {there}")
        device = torch.device("cuda", self.local % there)
        torch.cuda.set_device(device)
        return device


def read_environment(environment: Mapping[str, str] = os.environ) -> DistributedEnvironment | None:
    """Read the seat from the variables of torchrun, else from those of an srun step; None without company.

    A batch script has ``SLURM_NTASKS`` too and is one process: only a *step* of several tasks is company.

    Example:
        >>> read_environment({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"})
        DistributedEnvironment(rank=1, size=4, local=1, job='')
        >>> read_environment({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) is None
        True
    """
    for rank, size, local in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ):
        if rank in environment and size in environment:
            try:
                seat = int(environment[rank]), int(environment[size]), int(environment.get(local, environment[rank]))
            except ValueError:
                raise ConfigError(
                    f"{rank}={environment[rank]!r}, {size}={environment[size]!r} are not numbers"
                ) from None
            words = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
            job = "-".join(environment[word] for word in words if word in environment)
            return DistributedEnvironment(*seat, job) if seat[1] > 1 else None
    return None


@contextmanager
def rendezvous(seat: DistributedEnvironment | None, folder: Path) -> Iterator[ProcessGroup]:
    """Join the other processes of this run inside the block; without a seat, be a team of one.

    With ``MASTER_ADDR`` and ``MASTER_PORT`` (torchrun sets them) they meet at that address. Otherwise, under srun, in
    a file in ``folder``, which all of them see: names of cluster nodes need not resolve.

    Raises:
        StateError: the others did not come.
    """
    if seat is None:
        yield ProcessGroup()
        return
    by_address = "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ
    if not by_address and not seat.job:
        raise ConfigError("processes need a place to meet: set MASTER_ADDR and MASTER_PORT, or start them with srun")
    place = make_folder(folder) / f"{seat.job}-{next(_meetings)}"
    try:
        if by_address:
            store, _, _ = next(dist.rendezvous("env://", seat.rank, seat.size, timeout=JOIN_TIMEOUT))
        else:
            store = dist.FileStore(str(place), seat.size)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=store,
            rank=seat.rank,
            world_size=seat.size,
            timeout=JOIN_TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}" if by_address else place
        raise StateError(
            f"process {seat.rank} of {seat.size} did not find the others at {where}: {str(error).splitlines()[0]}"
        ) from error
    process_group = ProcessGroup(seat.rank, seat.size, store)
    yield process_group
    # Only after success: destroying a group whose other processes are gone may wait for them.
    dist.destroy_process_group()
