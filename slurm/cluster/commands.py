"""The commands of SLURM: sinfo, squeue, sacct, scancel and scontrol, each with a time limit."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...errors import ConfigError, SambenchError

COMMAND_TIMEOUT = 60
"""Seconds that a command of SLURM may take."""
BATCH = 200
"""Names or ids in one question."""


class NoAnswer(SambenchError):
    """SLURM is there and does not answer."""


@dataclass(frozen=True)
class JobInfo:
    """One job, or one element of an array, as SLURM tells of it.

    Args:
        id: SLURM's job id, ``123``, or ``123_4`` for a job of an array.
        state: in SLURM's words, without what follows them (``CANCELLED by 0`` is ``CANCELLED``).
        reason: why it waits, or how it ended.
        ended: seconds since the epoch, if it has ended and SLURM says when.
    """

    id: str
    state: str
    reason: str = ""
    ended: float | None = None


WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
ACTIVE = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "SUSPENDED", "STOPPED", "RESIZING")


def check_present() -> None:
    """Make sure that jobs can be submitted from here.

    Raises:
        ConfigError: SLURM's commands are not here.
    """
    missing = [name for name in ("sbatch", "squeue", "scontrol", "srun") if shutil.which(name) is None]
    if missing:
        raise ConfigError(
            f"SLURM is not here: {', '.join(missing)} not found on PATH; log in to a node of the cluster from which "
            "jobs can be submitted, or use --on local"
        )


def run_command(*command: str) -> str:
    """Run a command of SLURM and return what it prints.

    Raises:
        ConfigError: there is no such command.
        NoAnswer: it fails, or says nothing for a minute.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=True, env=_plain_environment()
        )
    except FileNotFoundError:
        check_present()
        raise ConfigError(f"{command[0]} is not on PATH, though SLURM is; ask who runs the cluster") from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(
            f"{command[0]} did not answer within {COMMAND_TIMEOUT} s; try again when SLURM is well"
        ) from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip() or error.stdout.strip()
        if "contact" in reason.lower():
            raise NoAnswer(f"SLURM does not answer: {reason}; try again when its controller is up") from error
        raise NoAnswer(f"{command[0]} failed: {reason}") from error
    return done.stdout


def _plain_environment() -> dict[str, str]:
    """Return the environment less what a person's own views of the queue leave out or write otherwise."""
    own = ("SQUEUE_", "SACCT_", "SINFO_", "SCANCEL_", "SLURM_TIME_FORMAT")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def max_array_size() -> int:
    """Return how many elements an array may have."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", run_command("scontrol", "show", "config"), re.MULTILINE)
    return max(1, int(found[1])) if found else 1000


def time_limits() -> dict[str, str]:
    """Return the longest time of a job in each partition, as far as SLURM says; of the default one under ``*``, too."""
    try:
        lines = run_command("sinfo", "-h", "-o", "%P|%l").splitlines()
    except SambenchError:
        return {}
    limits = {}
    for line in lines:
        name, limit = line.split("|", 1)
        limits[name.rstrip("*")] = limit
        if name.endswith("*"):
            limits["*"] = limit
    return limits


def queue(names: list[str]) -> dict[str, JobInfo]:
    """Return what SLURM's controller knows of jobs, by id: those that wait or run, and some minutes of the past.

    Args:
        names: job names to ask about.
    """
    found = {}
    for part in _batches(names):
        text = run_command("squeue", "-a", "-h", "-r", "-t", "all", "-n", ",".join(part), "-o", "%F|%K|%T|%r|%e|%B")
        for line in text.splitlines():
            array, index, state, reason, end, _ = line.split("|", 5)
            id_ = f"{array}_{index}" if index.isdigit() else array
            ended = None if state in (*WAITING, *ACTIVE) else _seconds(end)
            found[id_] = JobInfo(id_, state, "" if reason == "None" else reason, ended)
    return found


def sacct(ids: list[str]) -> dict[str, JobInfo]:
    """Return what SLURM's accounting knows of arrays, by the id of each element; nothing where there is none.

    Args:
        ids: of the arrays or single jobs, without elements.
    """
    found = {}
    for part in _batches(ids):
        try:
            text = run_command("sacct", "-X", "-n", "-P", "-o", "JobID,State,ExitCode,End", "-j", ",".join(part))
        except SambenchError:
            return found
        for line in text.splitlines():
            id_, state, code, end = line.split("|", 3)
            word = state.split()[0] if state else ""
            for single in expand(id_):
                found[single] = JobInfo(single, word, f"exit code {code}", _seconds(end))
    return found


def cancel(ids: list[str]) -> None:
    """Cancel arrays or single elements."""
    for part in _batches(ids):
        run_command("scancel", *part)


def cancel_named(name: str) -> None:
    """Cancel the jobs of a name, whose ids nobody has noted."""
    run_command("scancel", f"--name={name}")


def expand(id_: str) -> Iterator[str]:
    """Yield the elements that an id stands for.

    Example:
        >>> list(expand("7_[0-2,5%3]")), list(expand("7_4")), list(expand("7"))
        (['7_0', '7_1', '7_2', '7_5'], ['7_4'], ['7'])
    """
    found = re.fullmatch(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]", id_)
    if not found:
        yield id_
        return
    for part in found[2].split(","):
        first, _, last = part.partition("-")
        yield from (f"{found[1]}_{index}" for index in range(int(first), int(last or first) + 1))


# What belongs to one job of SLURM, not to the user: it must not travel into the jobs that are submitted from within it.
_OF_A_JOB = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_")
_OF_THE_CLUSTER = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_TIME_FORMAT")
_DISTRIBUTED = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK")
# Options that a launch always sets; sbatch would let the environment overrule what the script says.
_ALWAYS_SET = ("JOB_NAME", "TIMELIMIT", "OUTPUT", "ERROR", "SIGNAL", "OPEN_MODE", "ARRAY_INX", "WCKEY", "REQUEUE")
_ALWAYS_SET += ("NO_REQUEUE", "NTASKS_PER_NODE", "CPUS_PER_TASK", "NODES", "GPUS_PER_NODE")


@contextmanager
def clean_environment(options: set[str]) -> Iterator[None]:
    """Take out of the environment, inside the block, what would overrule or confuse the jobs that are submitted.

    Args:
        options: of sbatch that the launch sets, as in ``{"partition"}``; ``SBATCH_PARTITION`` then has no say. What it
            does not set stays with the user's own ``SBATCH_`` variables.
    """
    overruled = {f"SBATCH_{name.upper().replace('-', '_')}" for name in (*options, *_ALWAYS_SET)}
    taken = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if (name.startswith(_OF_A_JOB) and name not in _OF_THE_CLUSTER) or name in _DISTRIBUTED or name in overruled
    }
    try:
        yield
    finally:
        os.environ.update(taken)


def _seconds(text: str) -> float | None:
    """Read a time of SLURM's, which is local time; None for ``Unknown`` and ``N/A``."""
    try:
        return time.mktime(time.strptime(text.strip(), "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None


def _batches(items: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(items), BATCH):
        yield items[first : first + BATCH]
