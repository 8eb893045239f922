"""The cluster: brought up from nothing, asked, disturbed, and taken down with all that came from it."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sambench.slurm.cluster.commands import ACTIVE, WAITING

from . import configuration
from .configuration import Choices
from .daemons import Daemon, answers, by_age, command_line, end, free_ports, processes, wait_until
from .packages import SEARCH_PATH, install

START = 60.0
"""Seconds that a daemon may take to answer, on a busy machine."""


@dataclass(frozen=True)
class Job:
    """A job, or an element of an array, in the queue.

    Args:
        id: ``12`` or ``12_3``.
        raw: the number that every element has to itself.
        state: in SLURM's words.
        node: where it runs or ran, or empty.
        restarts: how often it was requeued.
        name: of the job.
    """

    id: str
    raw: str
    state: str
    node: str
    restarts: int
    name: str

    @property
    def waits(self) -> bool:
        return self.state in WAITING

    @property
    def active(self) -> bool:
        """Whether it has a node; while SLURM sends it a signal, its state is another one than ``RUNNING``."""
        return self.state in ACTIVE

    @property
    def runs(self) -> bool:
        return self.active and self.state != "COMPLETING"


class Cluster:
    """A SLURM cluster with accounting, ``nodes`` nodes and three partitions, under one temporary folder.

    Example:
        >>> with Cluster(nodes=2) as cluster:                # doctest: +SKIP
        ...     cluster.run("srun", "-N2", "hostname")
    """

    def __init__(self, nodes: int = 4, cpus: int = 2, user_signal: bool = True):
        self.choices = Choices(Path(), 0, nodes, cpus, user_signal)
        self.daemons: dict[str, Daemon] = {}

    def __enter__(self) -> "Cluster":
        install()
        state = Path(tempfile.mkdtemp(prefix="sambench-slurm-"))
        state.chmod(0o755)  # the key and the database have folders of their own
        self.choices = replace(self.choices, state=state, port=free_ports(self.choices.nodes + 3))
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what was started, whatever state it is in, and nothing else."""
        for name in reversed(self.daemons):
            if name.startswith(("slurmctld", *self.choices.names)):
                self.daemons[name].stop()
        end(self.leftovers())  # jobs outlive the daemon of their node
        for name in reversed(self.daemons):
            self.daemons[name].stop()
        shutil.rmtree(self.choices.state, ignore_errors=True)

    # -- the parts ---------------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to be a user of this cluster."""
        return {**_without_slurm(), "SLURM_CONF": str(self.choices.state / "slurm.conf"), "PATH": SEARCH_PATH}

    def _start(self) -> None:
        state, choices = self.choices.state, self.choices
        for name, mode in (("munge", 0o755), ("log", 0o755), ("database", 0o700), ("controller", 0o755)):
            (state / name).mkdir(mode)
        key = state / "munge" / "key"
        key.touch(0o400)
        key.write_bytes(secrets.token_bytes(128))
        self.write_configuration()
        (state / "gres.conf").write_text(configuration.gres_conf(choices))
        (state / "cgroup.conf").write_text(_cgroup_conf())
        sacct = state / "slurmdbd.conf"
        sacct.touch(0o600)
        sacct.write_text(configuration.slurmdbd_conf(choices))
        (state / "database.sql").write_text(configuration.DATABASE)

        munge = ["munged", "-F", f"--key-file={key}", f"--socket={choices.socket}", "--num-threads=2"]
        munge += [f"--{what}-file={state}/munge/{what}" for what in ("pid", "log", "seed")]
        self._daemon("munged", *munge)
        database = ["--no-defaults", "--user=root", f"--datadir={state}/database"]
        self.run("mariadb-install-db", *database, "--skip-test-db", "--auth-root-authentication-method=normal")
        self._daemon(
            "mariadbd",
            *("mariadbd", *database, f"--init-file={state}/database.sql", f"--socket={state}/database.socket"),
            *("--bind-address=127.0.0.1", f"--port={choices.port + 2}", "--skip-name-resolve", "--skip-log-bin"),
            *("--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--performance-schema=OFF"),
            "--innodb-lock-wait-timeout=900",
        )
        self._until("mariadbd", lambda: answers(choices.port + 2))
        self._daemon("slurmdbd", "slurmdbd", "-D")
        self._until("slurmdbd", lambda: self.does("sacctmgr", "-n", "show", "cluster"))
        self.run("sacctmgr", "-Q", "-i", "add", "cluster", "sambench")
        self.start_controller()
        for name in choices.names:
            self.start_node(name)
        self._until("slurmctld", self.all_nodes_up)

    def write_configuration(self, **changes: object) -> None:
        """Write ``slurm.conf``, with other choices if any are named; daemons read it when they start."""
        self.choices = replace(self.choices, **changes)
        (self.choices.state / "slurm.conf").write_text(configuration.slurm_conf(self.choices))

    def start_controller(self) -> None:
        """Start ``slurmctld``, for the first time or again, and wait until it answers."""
        self._daemon("slurmctld", "slurmctld", "-D")
        self._until("slurmctld", lambda: self.does("scontrol", "ping"))

    def start_node(self, name: str) -> None:
        """Start the ``slurmd`` of a node, for the first time or again."""
        self._daemon(name, "slurmd", "-D", "-N", name)

    def reconfigure(self, **changes: object) -> None:
        """Restart the controller with other choices, and wait until it knows its nodes again and takes jobs."""
        self.write_configuration(**changes)
        self.daemons["slurmctld"].stop()
        self.start_controller()
        run_command = ["sbatch", "--test-only", f"--partition={configuration.PREEMPTIBLE}", "--wrap=true"]
        self._until("slurmctld", lambda: self.all_nodes_up() and self.does(*run_command))

    def heal(self) -> None:
        """Bring everything to where it was at the start: no jobs, all nodes, the usual signals."""
        if not self.choices.user_signal or self.choices.limits != "ALL":
            self.reconfigure(user_signal=True, limits="ALL")
        elif not self.daemons["slurmctld"].alive:
            self.start_controller()
        self.run("scancel", "--quiet", "--user=root")
        for name in self.choices.names:
            if not self.daemons[name].alive:
                self.start_node(name)
        wait_until(lambda: not any(job.waits or job.active for job in self.queue()), START, "the end of all jobs")
        for line in self.run("sinfo", "-h", "-N", "-p", configuration.PLAIN, "-o", "%N %T").splitlines():
            name, state = line.split()
            if state.startswith(("down", "drain")):
                self.run("scontrol", "update", f"nodename={name}", "state=resume")
        wait_until(self.all_nodes_up, START, "the nodes")

    def _daemon(self, name: str, *command: str) -> None:
        log = self.choices.log / f"{name}.out"
        self.daemons[name] = Daemon(name, list(command), log, self.environment)
        self.daemons[name].start()

    def _until(self, name: str, ready: Callable[[], object]) -> None:
        def ready_or_dead() -> object:
            return ready() or not self.daemons[name].alive

        try:
            wait_until(ready_or_dead, START, name)
            assert self.daemons[name].alive, f"{name} has ended"
        except (TimeoutError, AssertionError) as error:
            raise RuntimeError(f"{error}\n{self.last_words()}") from error

    def last_words(self) -> str:
        """Return the errors of every log, the last of each, for the message of a failure."""
        said = []
        for path in sorted(self.choices.log.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            said += [f"{path.name}: {line}" for line in lines if "error" in line or "fatal" in line][-5:]
        return "\n".join(said)

    # -- asking ------------------------------------------------------------------------------------------------

    def run(self, *command: str, timeout: float = 60.0) -> str:
        """Run a program as a user of the cluster and return what it prints.

        Raises:
            RuntimeError: it fails; the message says what it printed.
        """
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def does(self, *command: str, timeout: float = 60.0) -> bool:
        """Tell whether a program succeeds."""
        done = subprocess.run(command, env=self.environment, capture_output=True, timeout=timeout)
        return done.returncode == 0

    def queue(self) -> list[Job]:
        """Return the jobs, one an element, that are there or were a few minutes ago."""
        text = self.run("squeue", "-h", "-r", "-t", "all", "-O", _COLUMNS)
        jobs = []
        for line in text.splitlines():
            array, element, raw, state, node, restarts, name = (cell.strip() for cell in line.split("|")[:7])
            jobs.append(Job(f"{array}_{element}" if element.isdigit() else raw, raw, state, node, int(restarts), name))
        return jobs

    def running(self) -> list[Job]:
        return [job for job in self.queue() if job.runs]

    def all_nodes_up(self) -> bool:
        states = self.run("sinfo", "-h", "-N", "-o", "%N %T").split("\n")
        return all(line.split()[1] in ("idle", "mixed", "allocated", "completing") for line in states if line)

    def trainers(self, job: Job) -> list[int]:
        """Return the Python processes of a job, the oldest first."""
        pids = set(processes("SLURM_JOB_ID", job.raw)) & set(self.leftovers())
        return by_age(pid for pid in pids if "python" in command_line(pid).split(" ")[0])

    def processes_of_node(self, name: str) -> list[int]:
        """Return what runs on a node: the processes of its jobs, and ``slurmstepd``, which watches over them."""
        jobs = tuple(f"slurmstepd: [{job.raw}." for job in self.running() if job.node == name)
        there = set(processes("SLURMD_NODENAME", name))
        return [pid for pid in self.leftovers() if pid in there or command_line(pid).startswith(jobs)]

    def leftovers(self) -> list[int]:
        """Return all processes that were started with this cluster's configuration, daemons and this one excepted."""
        ours = {daemon.process.pid for daemon in self.daemons.values() if daemon.process and daemon.alive}
        found = processes("SLURM_CONF", self.environment["SLURM_CONF"])
        return [pid for pid in found if pid not in ours and pid != os.getpid()]


_FIELDS = ("ArrayJobID", "ArrayTaskID", "JobID", "State", "NodeList", "RestartCnt", "Name")
_COLUMNS = ",".join(f"{name}:60|" for name in _FIELDS)


def _without_slurm() -> dict[str, str]:
    """The environment of this process, without what it may have of another cluster."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SBATCH", "SRUN"))}


def _cgroup_conf() -> str:
    """Later versions look for control groups unless they are told not to; 22.05 does not know the word."""
    version = subprocess.run(["slurmctld", "-V"], env={"PATH": SEARCH_PATH}, capture_output=True, text=True).stdout
    return "" if version.startswith(("slurm-wlm 22", "slurm 22")) else "CgroupPlugin=disabled\n"
