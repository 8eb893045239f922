"""Checkpoints: all of a run in progress, written so that a kill at any moment leaves a readable one behind."""

import hashlib
import io
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..errors import StateError
from ..results.files import atomic_write_bytes, make_folder, remove_leftovers

try:
    import fcntl
except ImportError:  # not a POSIX system: two processes on one run are then not kept apart
    fcntl = None

log = logging.getLogger("sambench")
MAGIC = b"sambench checkpoint 1 "


class Checkpoints:
    """The checkpoints of one run: ``step-<number>.pt``, the newest two.

    A file starts with a line that holds the sha256 of the rest, so that truncation and bit rot are both noticed; the
    rest is read with ``weights_only=True``. The older one is removed only when the newer one has been read back.

    Args:
        folder: of this run.
        run_id: checkpoints of another run are refused.
        fingerprint: of the data set; checkpoints made on other data are refused.
        seconds: least time between two periodic checkpoints, the most that a kill can cost.
    """

    def __init__(self, folder: Path, run_id: str, fingerprint: str, seconds: float = 60.0):
        self.folder, self.run_id, self.fingerprint, self.seconds = folder, run_id, fingerprint, seconds
        self.last = time.monotonic()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep every other process off this run inside the block; a killed holder lets go by itself.

        Raises:
            StateError: another process is training this run.
        """
        make_folder(self.folder)
        with (self.folder / "lock").open("w") as lock:
            if fcntl is not None:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise StateError(
                        f"run {self.run_id[:12]} is being trained by another process; "
                        "wait for it, or stop it and run this again: it goes on where the other one was"
                    ) from None
            remove_leftovers(self.folder)
            yield

    def held(self) -> bool:
        """Tell whether a process is training this run."""
        lock = self.folder / "lock"
        if fcntl is None or not lock.exists():
            return False
        with lock.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def newest_step(self) -> int:
        """Return the step of the newest checkpoint, 0 if there is none."""
        return max((int(path.stem.removeprefix("step-")) for path in self._files()), default=0)

    def due(self) -> bool:
        """Tell whether the time for the next periodic checkpoint has come."""
        return time.monotonic() - self.last >= self.seconds

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write a checkpoint, read it back, and only then remove all but the newest two."""
        buffer = io.BytesIO()
        torch.save({"run_id": self.run_id, "fingerprint": self.fingerprint, "state": state}, buffer)
        payload = buffer.getvalue()
        path = self.folder / f"step-{step:09d}.pt"
        atomic_write_bytes(path, MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
        _payload(path)
        for old in self._files()[2:]:
            old.unlink(missing_ok=True)
        self.last = time.monotonic()
        return path

    def load(self, path: Path) -> dict[str, Any]:
        """Read one checkpoint.

        Raises:
            StateError: it is damaged, or belongs to another run or other data.
        """
        try:
            content = torch.load(io.BytesIO(_payload(path)), map_location="cpu", weights_only=True)
        except StateError:
            raise
        except Exception as error:
            raise StateError(f"checkpoint {path} cannot be read: {error}") from error
        if content["run_id"] != self.run_id:
            raise StateError(f"checkpoint {path} belongs to run {content['run_id'][:12]}, not to {self.run_id[:12]}")
        if content["fingerprint"] != self.fingerprint:
            raise StateError(
                f"checkpoint {path} was made on other data (fingerprint {content['fingerprint'][:12]}, now "
                f"{self.fingerprint[:12]}): give the data set that it was made on, or another name to the new one"
            )
        return content["state"]

    def latest(self) -> dict[str, Any] | None:
        """Return the newest state that can be used, or None; each refused file is reported by a warning."""
        for path in self._files():
            try:
                return self.load(path)
            except StateError as error:
                log.warning("%s; trying the one before it", error)
        return None

    def clear(self) -> None:
        """Remove the checkpoints of a run whose record is written."""
        for path in [*self._files(), self.folder / "lock"]:
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


def _payload(path: Path) -> bytes:
    """Return what stands behind the first line, if it is what the first line says."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StateError(f"checkpoint {path} cannot be read: {error}") from error
    head, _, payload = data.partition(b"\n")
    if not head.startswith(MAGIC):
        raise StateError(f"{path} is not a sambench checkpoint")
    if hashlib.sha256(payload).hexdigest().encode() != head[len(MAGIC) :]:
        raise StateError(f"checkpoint {path} is damaged: its content does not match its checksum")
    return payload
