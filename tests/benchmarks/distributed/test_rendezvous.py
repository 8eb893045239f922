"""Finding the others: from what torchrun and srun put into the environment."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from sambench.benchmarks.distributed import rendezvous as module
from sambench.benchmarks.distributed.process_group import ProcessGroup
from sambench.benchmarks.distributed.rendezvous import DistributedEnvironment, read_environment, rendezvous
from sambench.errors import ConfigError

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
SRUN = {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "0", "SLURM_NTASKS": "8"}
JOB = {"SLURM_JOB_ID": "17", "SLURM_STEP_ID": "0", "SLURM_RESTART_COUNT": "2"}


@pytest.mark.parametrize(
    ("variables", "environment"),
    [
        ({}, None),
        (TORCHRUN, DistributedEnvironment(3, 4, 1, "")),
        (TORCHRUN | {"LOCAL_WORLD_SIZE": "4"}, DistributedEnvironment(3, 4, 1, one_machine=True)),
        (SRUN | JOB, DistributedEnvironment(2, 8, 0, "17-0-2")),
        (SRUN | JOB | {"SLURM_JOB_NUM_NODES": "1"}, DistributedEnvironment(2, 8, 0, "17-0-2", one_machine=True)),
        (
            SRUN | JOB | TORCHRUN,
            DistributedEnvironment(3, 4, 1, "17-0-2"),
        ),  # torchrun under srun: the inner launcher counts
        (TORCHRUN | {"WORLD_SIZE": "1", "RANK": "0"}, None),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "17"}, None),  # a batch script, outside any step
        (SRUN | JOB | {"SLURM_STEP_NUM_TASKS": "1"}, None),
    ],
)
def test_the_environment_is_read(variables, environment):
    assert read_environment(variables) == environment


def test_nonsense_in_the_environment_is_named():
    with pytest.raises(ConfigError, match="RANK='one', WORLD_SIZE='2' are not numbers"):
        read_environment({"RANK": "one", "WORLD_SIZE": "2"})


def test_a_single_process_meets_nobody(tmp_path):
    with rendezvous(None, tmp_path / "never") as process_group:
        assert (process_group.rank, process_group.size, process_group.is_main_process) == (0, 1, True)
    assert not (tmp_path / "never").exists()
    assert not torch.distributed.is_initialized()


def test_without_an_address_the_way_out_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with (
        pytest.raises(ConfigError, match="set MASTER_ADDR and MASTER_PORT"),
        rendezvous(DistributedEnvironment(0, 2, 0, ""), tmp_path),
    ):
        pass


@pytest.mark.parametrize(("local", "there", "index"), [(1, 4, 1), (3, 1, 0), (0, 2, 0)])
def test_every_process_of_a_machine_takes_a_gpu_of_its_own(local, there, index, monkeypatch):
    """Which sees them all, or one as ``--gpus-per-task=1`` gives it."""
    taken = []
    monkeypatch.setattr(module, "pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    assert DistributedEnvironment(5, 8, local, "").device("cuda") == torch.device("cuda", index)
    assert taken == [torch.device("cuda", index)]


@pytest.mark.parametrize(
    ("name", "there", "message"),
    [
        ("cuda", 1, "process 2 of this machine has no GPU of its own: there are 1"),
        ("cuda", 2, "process 2 of this machine has no GPU of its own: there are 2"),
        ("cuda:0", 4, "need one each"),
    ],
)
def test_processes_without_a_gpu_are_refused(name, there, message, monkeypatch):
    monkeypatch.setattr(module, "pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    if there == 1:  # which under srun may be one of its own
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(ConfigError, match=message):
        DistributedEnvironment(2, 4, 2, "").device(name)


def test_processes_on_the_cpu_share_it():
    assert DistributedEnvironment(1, 2, 1, "").device("cpu") == torch.device("cpu")


AGAIN = """
import sys, time
from pathlib import Path
import torch
from sambench.benchmarks.distributed.rendezvous import read_environment, rendezvous
environment = read_environment()
for number in range(3):
    if number and environment.rank:
        time.sleep(2)  # whoever comes late finds no keys of the group before
    with rendezvous(environment, Path(sys.argv[1])) as process_group:
        one = torch.ones(1)
        process_group.sum_([one])
        print(number, int(one))
"""


@pytest.mark.slow  # starts two processes
def test_the_same_processes_meet_again_and_again(tmp_path):
    """A script of the user's may make one run after the other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": "2"}
    made = [
        subprocess.Popen(
            [sys.executable, "-c", AGAIN, str(tmp_path)],
            env={**os.environ, **place, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    assert [process.communicate(timeout=240)[0] for process in made] == ["0 2\n1 2\n2 2\n"] * 2


def test_a_second_run_of_a_group_is_asked_from_its_first_step(monkeypatch):
    """Its steps are counted anew: those at which the run before wanted to ask are far off."""
    asked = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda *_: asked.append(1))
    process_group = ProcessGroup(0, 2)
    for step in range(1, 1001):
        process_group.sync_stop_and_save(step, False, False)
    asked.clear()
    assert process_group.sync_stop_and_save(1, True, True) == (True, True)
    assert asked
