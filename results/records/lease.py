"""Leases: at most one process makes a run, and the others can tell when its holder is gone, across machines.

A lease is a file ``lease-<generation>`` in the folder of a run. The process that creates the next generation holds the
run; the file system lets only one process do that, on one machine as over NFS. The holder renews it every few seconds.
The lease is free again

- when it was released;
- when it was not renewed for longer than ``EXPIRY``, by the clock of the file system, so that the machines' own clocks
  need not agree;
- at once, when its holder ran on this machine and is dead: the kernel has then dropped the lock on the file.

A holder that was suspended or cut off from the file system for so long that another process took over finds a higher
generation and must stop: it calls :meth:`Lease.verify` before it writes anything.
"""

import json
import os
import platform
import re
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from stat import S_ISREG

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from ...atomic import give_name, make_folder, write_failure
from ...errors import StateError
from ...reading import read_bytes
from .fields import Amount, Name, Whole

try:
    import fcntl
except ImportError:  # not a POSIX system: a dead holder is then noticed only when its lease expires
    fcntl = None

EXPIRY = 120.0
"""Seconds without a renewal after which a lease is free; several renewals may fail before that."""

_PREFIX = "lease-"
_NAME = re.compile(rf"{_PREFIX}([0-9]{{6,}})")
_SIZE = 512


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Holder:
    """The process that holds a run, and its progress.

    Args:
        host: name of the machine.
        boot: id of the running kernel; two processes see the same locks exactly when it is equal.
        pid: id of the process.
        job: id of the scheduler's job, empty outside one.
        first: step at which this holder started or resumed the run.
        step: number of steps that are done.
        total: number of steps of the whole run, 0 before it is known.
        seconds: time for which this holder has held the run.
    """

    host: Name
    boot: Name
    pid: Whole
    job: Name = ""
    first: Whole = 0
    step: Whole = 0
    total: Whole = 0
    seconds: Amount = 0.0

    @property
    def remaining(self) -> float | None:
        """Estimated seconds to the end, from the steps made so far; None before there are any."""
        made = self.step - self.first
        return self.seconds / made * max(0, self.total - self.step) if made > 0 else None


_HOLDER = TypeAdapter(Holder)


def lease_status(folder: Path, now: float | None = None) -> tuple[bool, Holder | None]:
    """Tell whether the run of a folder is held now, and by whom it is or was last.

    Args:
        folder: the folder of the run's leases and checkpoints.
        now: the time of the file system, if the caller has already read it (:func:`filesystem_time`).

    Returns:
        Whether the newest lease is held, and its holder: ``None`` without a lease, or while one is being written.
    """
    found = generations(folder)
    if not found:
        return False, None
    path = lease_path(folder, found[-1])
    return is_held(path, now), read_holder(path)


def filesystem_time(folder: Path) -> float:
    """Return the current time by the clock of the folder's file system, in seconds since the epoch."""
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
        return time.time()  # the folder is read-only: fall back to this machine's clock


def is_held(path: Path, now: float | None = None, expiry: float = EXPIRY) -> bool:
    """Tell whether a lease is held: renewed within ``expiry`` seconds, and not by a dead process of this machine.

    A time in the future is no renewal, and what is no file is no lease: nobody waits for either.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        about = os.fstat(descriptor)
        if not S_ISREG(about.st_mode):
            return False
        if fcntl is not None and _same_kernel(read_holder(path)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
            except OSError:
                pass
    finally:
        os.close(descriptor)
    return abs((filesystem_time(path.parent) if now is None else now) - about.st_mtime) <= expiry


def _same_kernel(holder: Holder | None) -> bool:
    return holder is not None and holder.boot == boot_id()


def read_holder(path: Path) -> Holder | None:
    """Read the holder from a lease file; ``None`` if the file is gone, still being written, or no lease."""
    try:
        return _HOLDER.validate_json(read_bytes(path, most=8 * _SIZE), strict=True)
    except (OSError, ValueError):
        return None


def generations(folder: Path) -> list[int]:
    """List the generations of leases in the folder of a run, ascending, the last one counts; none if it is not read."""
    try:
        return _generations(folder)
    except OSError:
        return []


def _generations(folder: Path) -> list[int]:
    names = os.listdir(folder)
    found = (int(match[1]) for name in names if (match := _NAME.fullmatch(name)))
    return sorted(number for number in found if lease_path(folder, number).name in names)


def lease_path(folder: Path, generation: int) -> Path:
    """Return the path of the lease of one generation."""
    return folder / f"{_PREFIX}{generation:06d}"


def boot_id() -> str:
    """Return an id of the running kernel; its file locks tell which of its processes are alive."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


def job_id() -> str:
    """Return the id of the scheduler's job that this process runs in (``123_4``: task 4 of array 123), or ``""``."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")


BEAT = 15.0
"""Seconds between two renewals."""


class Held(StateError):
    """Another living process holds this run."""


class LeaseLost(StateError):
    """Another process took over this run after this one failed to renew its lease; this one may not write any more."""


class Lease:
    """The exclusive right to make a run, from :meth:`take` to :meth:`release`; a thread of its own renews it.

    Args:
        folder: folder of the run's leases and checkpoints; its name is the run id.
        beat: seconds between two renewals.
        expiry: seconds without a renewal after which another process may take over.
    """

    def __init__(self, folder: Path, *, beat: float = BEAT, expiry: float = EXPIRY):
        self.folder, self.beat, self.expiry = folder, beat, expiry
        self.generation = 0
        self.lost = False
        self.first = self.step = self.total = 0
        self._descriptor = -1
        self._released = threading.Event()
        self._writing = threading.Lock()

    def take(self) -> "Lease":
        """Become the holder of the run.

        Raises:
            Held: another living process holds it.
            StateError: the folder cannot be written.
        """
        while True:
            make_folder(self.folder)
            newest = max(generations(self.folder), default=0)
            if newest and is_held(lease_path(self.folder, newest), expiry=self.expiry):
                raise Held(_held_by(self.folder.name, read_holder(lease_path(self.folder, newest))))
            with suppress(FileNotFoundError):  # the folder is gone: the run ended just now
                if self._create(newest + 1):
                    break
        self._started = self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()
        return self

    def verify(self) -> None:
        """Renew the lease and make sure that it is still ours; call it before writing anything.

        Raises:
            LeaseLost: another process has taken over.
        """
        self._touch()
        if self.lost:
            raise LeaseLost(
                f"run {self.folder.name[:12]} was taken over by another process, because this one did not renew its "
                f"lease for {self.expiry:.0f} s; this one stops and writes nothing"
            )

    def release(self) -> None:
        """Give up the run, so that another process may take it; a second call does nothing."""
        self._released.set()
        with self._writing:
            if self._descriptor >= 0:
                with suppress(OSError):  # if it cannot be removed, it will expire
                    if not self.lost and not self._removed():
                        lease_path(self.folder, self.generation).unlink(missing_ok=True)
                os.close(self._descriptor)
                self._descriptor = -1
        with suppress(OSError):  # not empty: it holds checkpoints, or another process is probing it
            self.folder.rmdir()

    def __enter__(self) -> "Lease":
        return self.take()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _create(self, generation: int) -> bool:
        """Create the lease of a generation, with content and lock, in one step; return whether we were the first."""
        path = lease_path(self.folder, generation)
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.tmp")
        descriptor = -1
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            if fcntl is not None:
                with suppress(OSError):  # a file system without locks: only the expiry decides
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, self._content(0.0))
            os.fsync(descriptor)
            ours = give_name(temporary, path)
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            if isinstance(error, FileNotFoundError):
                raise
            raise write_failure(error, self.folder) from error
        finally:
            temporary.unlink(missing_ok=True)
        # A listing may be slightly out of date: if two processes get here, the higher generation wins.
        if not ours or max(generations(self.folder), default=0) > generation:
            os.close(descriptor)
            if ours:
                path.unlink(missing_ok=True)
            return False
        for older in generations(self.folder):
            if older < generation:
                with suppress(OSError):  # somebody removed it first, or it is a folder
                    lease_path(self.folder, older).unlink()
        self.generation, self._descriptor = generation, descriptor
        return True

    def _content(self, seconds: float) -> bytes:
        holder = Holder(
            platform.node(), boot_id(), os.getpid(), job_id(), self.first, self.step, self.total, round(seconds, 1)
        )
        return json.dumps(asdict(holder)).encode().ljust(_SIZE - 1) + b"\n"

    def _renew(self) -> None:
        while not self._released.wait(self.beat) and not self.lost:
            self._touch()

    def _touch(self) -> None:
        with self._writing:
            if self._descriptor < 0 or self.lost:
                return
            try:
                if self._removed() or max(_generations(self.folder), default=0) != self.generation:
                    self.lost = True
                    return
                os.pwrite(self._descriptor, self._content(time.monotonic() - self._started), 0)
                os.fsync(self._descriptor)
                self._renewed = time.monotonic()
            except OSError:  # the file system is unreachable or full: keep the lease until it expires
                self.lost = time.monotonic() - self._renewed > self.expiry

    def _removed(self) -> bool:
        """Tell whether our file was deleted; its number may be in use again, if another process took over and ended."""
        return os.fstat(self._descriptor).st_nlink == 0


def _held_by(run: str, holder: Holder | None) -> str:
    where = f" on {holder.host}, process {holder.pid}" if holder else ""
    where += f", job {holder.job}" if holder and holder.job else ""
    return (
        f"run {run[:12]} is being trained by another process{where}; "
        "wait for it, or stop it and run this again: the run resumes from its last checkpoint"
    )
