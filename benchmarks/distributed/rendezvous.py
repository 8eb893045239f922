"""How the processes of one run find each other: from the environment that torchrun or srun gives them."""

import itertools
import os
import socket
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
from .process_group import SINGLE_PROCESS, ProcessGroup

JOIN_TIMEOUT = timedelta(minutes=5)
"""How long a process waits for the others to start, and later for each of their messages."""

_rendezvous_number = itertools.count()
_at_address: dict[tuple[str, str], dist.Store] = {}
"""The store at an address, made once a process: its server lives as long, and so does what earlier runs wrote there."""


@dataclass(frozen=True)
class DistributedEnvironment:
    """What a launcher tells a process about its place among the processes of the run.

    Args:
        rank: number of this process, 0, 1, ..., size - 1.
        size: number of processes, >= 2.
        local_rank: number of this process among those of its machine.
        job: names the start of the SLURM job; empty outside SLURM.
        one_machine: whether all processes are known to be on this machine.
    """

    rank: int
    size: int
    local_rank: int
    job: str = ""
    one_machine: bool = False

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
        visible = torch.cuda.device_count()
        shared = visible > 1 or "TORCHELASTIC_RUN_ID" in os.environ  # a task of srun may have been given its own one
        if shared and self.local_rank >= visible:
            raise ConfigError(
                f"process {self.local_rank} of this machine has no GPU of its own: there are {visible}; start at most "
                f"{visible} processes, or say --device cpu"
            )
        device = torch.device("cuda", self.local_rank % visible)
        torch.cuda.set_device(device)
        return device


def read_environment(variables: Mapping[str, str] = os.environ) -> DistributedEnvironment | None:
    """Read the variables of torchrun, else those of an srun step; None where this process is the only one of its run.

    A batch script has ``SLURM_NTASKS`` too and is one process: only a *step* of several tasks is several processes.

    Args:
        variables: of the environment, name -> value.

    Raises:
        ConfigError: they are not numbers.

    Example:
        >>> read_environment({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"})
        DistributedEnvironment(rank=1, size=4, local_rank=1, job='', one_machine=False)
        >>> read_environment({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) is None
        True
    """
    job = "-".join(
        variables[name] for name in ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT") if name in variables
    )
    for rank, size, local_rank, one_machine in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK", variables.get("LOCAL_WORLD_SIZE") == variables.get("WORLD_SIZE")),
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", variables.get("SLURM_JOB_NUM_NODES") == "1"),
    ):
        if rank in variables and size in variables:
            try:
                numbers = int(variables[rank]), int(variables[size]), int(variables.get(local_rank, variables[rank]))
            except ValueError:
                raise ConfigError(f"{rank}={variables[rank]!r}, {size}={variables[size]!r} are not numbers") from None
            return DistributedEnvironment(*numbers, job, one_machine) if numbers[1] > 1 else None
    return None


@contextmanager
def rendezvous(environment: DistributedEnvironment | None, folder: Path) -> Iterator[ProcessGroup]:
    """Join the other processes of this run inside the block, as a process group; without an environment, of size one.

    With ``MASTER_ADDR`` and ``MASTER_PORT`` (torchrun sets them) the processes find each other at that address.
    Otherwise, under srun, in a file in ``folder``: names of cluster nodes need not resolve.

    Args:
        environment: of this process, as :func:`read_environment` returns it.
        folder: seen by all processes; made where it is needed.

    Raises:
        ConfigError: nothing says where the processes find each other.
        StateError: the others did not come.
    """
    if environment is None:
        yield SINGLE_PROCESS
        return
    by_address = "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ
    if not by_address and not environment.job:
        raise ConfigError(
            "processes need a place to find each other: set MASTER_ADDR and MASTER_PORT, or start them by torchrun or "
            "srun"
        )
    if environment.one_machine:
        _talk_by_loopback()
    number = next(_rendezvous_number)
    file = folder / f"{environment.job}-{number}"
    try:
        if by_address:
            address = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
            if address not in _at_address:
                found = next(dist.rendezvous("env://", environment.rank, environment.size, timeout=JOIN_TIMEOUT))
                _at_address[address] = found[0]
            store = dist.PrefixStore(f"sambench-{number}", _at_address[address])
        else:
            make_folder(folder)
            store = dist.FileStore(str(file), environment.size)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=store,
            rank=environment.rank,
            world_size=environment.size,
            timeout=JOIN_TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}" if by_address else file
        raise StateError(
            f"process {environment.rank} of {environment.size} did not find the others at {where}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    yield ProcessGroup(environment.rank, environment.size, store)
    # Only after success: destroying a group whose other processes are gone may wait for them.
    dist.destroy_process_group()


def _talk_by_loopback() -> None:
    """Let gloo use the loopback interface, unless told otherwise: the name of this machine need not resolve."""
    for name in [name for _, name in socket.if_nameindex() if name.startswith("lo")][:1]:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
