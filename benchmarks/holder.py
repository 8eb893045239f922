"""Who holds a run: what the files of leases say, to everybody who looks; see :mod:`.lease`."""

import json
import os
import platform
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # not a POSIX system: a dead holder is then noticed by the time alone
    fcntl = None

EXPIRY = 120.0
"""Seconds without a renewal after which a lease is free; several renewals may fail before that."""

_PREFIX = "lease-"


@dataclass(frozen=True)
class Holder:
    """Who holds a run, and how far it is.

    Args:
        host: name of the machine.
        boot: of the running kernel: equal exactly for processes that see the same locks.
        pid: process.
        job: of the scheduler, or empty.
        first: step at which this holder took the run up.
        step: step that is done.
        total: steps of the whole run, 0 before it is known.
        seconds: that this holder has held the run.
    """

    host: str
    boot: str
    pid: int
    job: str = ""
    first: int = 0
    step: int = 0
    total: int = 0
    seconds: float = 0.0

    @property
    def remaining(self) -> float | None:
        """Estimated seconds to the end, from the steps made so far; None before there are any."""
        made = self.step - self.first
        return self.seconds / made * (self.total - self.step) if made > 0 else None


def look(folder: Path, now: float | None = None) -> tuple[bool, Holder | None]:
    """Tell whether somebody holds the run of a folder, and who did last.

    Args:
        folder: of the run.
        now: the time of the file system, when the caller has asked for it (:func:`filesystem_time`).
    """
    found = generations(folder)
    if not found:
        return False, None
    path = lease_path(folder, found[-1])
    try:
        return is_held(path, now), read_holder(path)
    except FileNotFoundError:
        return False, None


def filesystem_time(folder: Path) -> float:
    """Return what time it is for the file system that a folder is on, in seconds since the epoch."""
    probe = folder / f".time-{secrets.token_hex(8)}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            os.write(descriptor, b"?")
            os.fsync(descriptor)
            return os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
            probe.unlink(missing_ok=True)
    except OSError:
        return time.time()  # a folder that may only be read: its times are compared with this machine's


def is_held(path: Path, now: float | None = None, expiry: float = EXPIRY) -> bool:
    """Tell whether the holder of one lease is alive: renewed within ``expiry`` seconds, and no dead process of ours."""
    try:
        with path.open("rb") as file:
            if fcntl is not None and _same_kernel(_parse(file.read())):
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return False
                except OSError:
                    pass
            renewed = os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return False
    return (filesystem_time(path.parent) if now is None else now) - renewed <= expiry


def _same_kernel(holder: Holder | None) -> bool:
    return holder is not None and holder.boot == boot_id()


def read_holder(path: Path) -> Holder | None:
    """Read who holds, or held, a run; None if the file is gone or being written."""
    try:
        return _parse(path.read_bytes())
    except FileNotFoundError:
        return None


def _parse(data: bytes) -> Holder | None:
    """Read a holder; a file that is being written this moment says nothing yet."""
    try:
        content: dict[str, Any] = json.loads(data)
        return Holder(**content)
    except (ValueError, TypeError):
        return None


def generations(folder: Path) -> list[int]:
    """List the generations of leases in the folder of a run, in order; the last one counts."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name.removeprefix(_PREFIX)) for name in names if name.startswith(_PREFIX))


def lease_path(folder: Path, generation: int) -> Path:
    """Return the file of one generation."""
    return folder / f"{_PREFIX}{generation:06d}"


def boot_id() -> str:
    """Identify the running kernel, whose locks tell which processes are alive."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


def job_id() -> str:
    """Name the scheduler's job that this process is in: ``123_4`` for element 4 of array 123."""
    array, element = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{element}" if array else os.environ.get("SLURM_JOB_ID", "")
