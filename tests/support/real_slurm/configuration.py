"""The configuration of the cluster as text: pure functions of a few choices."""

from dataclasses import dataclass
from pathlib import Path

PREEMPTIBLE, URGENT, PLAIN = "low", "high", "plain"
"""Partitions: jobs of the first give way to those of the second; the third, the default, takes no part in it."""
PREEMPTION_GRACE_SECONDS = 10
"""Seconds between the warning of a job that has to give way and its end."""
REQUEUE_DELAY = 6
"""Seconds before a requeued job may start again: the lifetime of a credential. It has to outlast ``KillWait``, or the
second start of a job meets the first on a node that is not done with it."""
ARRAY = 1001
"""The longest array, plus one, as SLURM counts it."""


@dataclass(frozen=True)
class Choices:
    """What the cluster is like.

    Args:
        state: folder that everything is kept in.
        port: the first of ``nodes + 3`` TCP ports in a row.
        nodes: number of ``slurmd`` daemons, each a node of its own.
        cpus: of each node, as far as the scheduler believes.
        user_signal: whether a job that has to give way gets the signal that it asked for (``--signal``) or, as SLURM
            does by default, SIGTERM.
        limits: whether requests beyond a partition's limits are refused (``ALL``) or wait for ever (``NO``).
        array: the longest array, plus one.
    """

    state: Path
    port: int
    nodes: int = 4
    cpus: int = 2
    user_signal: bool = True
    limits: str = "ALL"
    array: int = ARRAY

    @property
    def names(self) -> list[str]:
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    @property
    def socket(self) -> Path:
        return self.state / "munge" / "socket"

    @property
    def log(self) -> Path:
        return self.state / "log"


def slurm_conf(choices: Choices) -> str:
    """Return ``slurm.conf``: real scheduling and accounting, no control groups, and nodes that need not exist."""
    state, port = choices.state, choices.port
    nodes = "\n".join(
        f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port + 3 + number} "
        f"CPUs={choices.cpus} RealMemory=4000 Gres=gpu:2 State=UNKNOWN"
        for number, name in enumerate(choices.names)
    )
    partitions = "\n".join(
        f"PartitionName={name} Nodes=ALL LLN=YES State=UP MaxTime=7-0 DefaultTime=60 {rest}"
        for name, rest in (
            (PLAIN, "Default=YES PriorityTier=1 PreemptMode=OFF"),
            (PREEMPTIBLE, f"PriorityTier=1 PreemptMode=REQUEUE GraceTime={PREEMPTION_GRACE_SECONDS}"),
            (URGENT, "PriorityTier=9 PreemptMode=OFF"),
        )
    )
    return f"""\
ClusterName=sambench
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
MpiDefault=none
AuthInfo=socket={choices.socket},cred_expire={REQUEUE_DELAY}
StateSaveLocation={state}/controller
SlurmctldPidFile={state}/controller.pid
SlurmctldLogFile={choices.log}/slurmctld.log
SlurmdSpoolDir={state}/spool-%n
SlurmdPidFile={state}/%n.pid
SlurmdLogFile={choices.log}/%n.log
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port + 1}
AccountingStoragePass={choices.socket}
ProctrackType=proctrack/linuxproc
SlurmdParameters=config_overrides
{"SlurmctldParameters=preempt_send_user_signal" if choices.user_signal else "# preemption sends SIGTERM"}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
EnforcePartLimits={choices.limits}
MaxArraySize={choices.array}
MaxJobCount=20000
MinJobAge=600
KillWait=2
SlurmdTimeout=10
ReturnToService=1
{nodes}
{partitions}
"""


def gres_conf(choices: Choices) -> str:
    """Return ``gres.conf``: two GPUs on every node, played by devices that every machine has."""
    devices = ("/dev/null", "/dev/zero")
    lines = [f"NodeName={name} Name=gpu File={device}" for name in choices.names for device in devices]
    return "\n".join(["AutoDetect=off", *lines, ""])


def slurmdbd_conf(choices: Choices) -> str:
    """Return ``slurmdbd.conf``: accounts in a database of this cluster alone."""
    return f"""\
AuthType=auth/munge
AuthInfo=socket={choices.socket}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={choices.port + 1}
SlurmUser=root
PidFile={choices.state}/accounts.pid
LogFile={choices.log}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={choices.port + 2}
StorageUser=slurm
StorageLoc=accounts
"""


DATABASE = """\
CREATE DATABASE IF NOT EXISTS accounts;
CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1';
GRANT ALL ON accounts.* TO 'slurm'@'127.0.0.1';
"""
"""What the database server does before it listens."""
