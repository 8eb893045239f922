"""Checkpoints: all of a run in progress, written so that a kill at any moment leaves a readable one behind."""

import hashlib
import io
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...atomic import atomic_write_bytes, make_folder, remove_leftovers
from ...errors import StateError
from ...plain_text import printable
from ...reading import read_bytes
from ...results.records.epochs import EPOCHS
from ...results.records.lease import Lease, lease_status

BEFORE = "before"
"""Folder of the checkpoints of what a run begins with, within that of its own."""
MADE_WITH = "made_with.json"
"""File beside the checkpoints that says which code they were made with: see :mod:`.made_with`."""
log = logging.getLogger("sambench")
MAGIC = b"sambench checkpoint 1 "
MOST = 2**40
"""Bytes of the largest checkpoint that is read."""


class Checkpoints:
    """The checkpoints of one run: ``step-<number>.pt``, the newest two.

    A file starts with a line that holds the sha256 of the rest, so that truncation and bit rot are both noticed; the
    rest is read with ``weights_only=True``. The older one is removed only when the newer one has been read back.

    Args:
        folder: folder of this run's checkpoints and lease.
        run_id: id of the run; checkpoints of another run are refused.
        fingerprint: sha256 of the data set; checkpoints made on other data are refused.
        seconds: least time between two periodic checkpoints, the most that a kill can cost.
    """

    def __init__(self, folder: Path, run_id: str, fingerprint: str, seconds: float = 60.0):
        self.folder, self.run_id, self.fingerprint, self.seconds = folder, run_id, fingerprint, seconds
        self.last = time.monotonic()
        self.lease: Lease | None = None
        self.made_with: dict[str, str] = {}

    @contextmanager
    def claimed(self) -> Iterator[Lease]:
        """Keep everybody else off this run inside the block, on this machine and on others; see :mod:`.lease`.

        Raises:
            Held: somebody else is training this run.
        """
        with Lease(self.folder) as self.lease:
            remove_leftovers(self.folder)
            for name in sorted(os.listdir(self.folder)):
                if (
                    not _NAME.fullmatch(name)
                    and name not in (MADE_WITH, EPOCHS, BEFORE)
                    and not name.startswith((".", "lease-"))
                ):
                    log.warning("%s is no checkpoint of a run: it is left alone", printable(str(self.folder / name)))
            yield self.lease

    def before(self, run_id: str) -> "Checkpoints":
        """Return those of the run whose end this run begins with; they are under its lease, and go with its own.

        What other code made of them is removed.
        """
        noted = self.folder / BEFORE / MADE_WITH
        if self.lease is not None and noted.is_file() and noted.read_bytes() != json.dumps(self.made_with).encode():
            shutil.rmtree(noted.parent)
        inner = Checkpoints(make_folder(noted.parent), run_id, self.fingerprint, self.seconds)
        inner.lease, inner.made_with = self.lease, self.made_with
        return inner

    def verify(self) -> None:
        """Make sure, before anything is written, that nobody has taken over.

        Raises:
            LeaseLost: somebody has.
        """
        if self.lease is not None:
            self.lease.verify()

    def held(self) -> bool:
        """Tell whether a process is training this run."""
        return lease_status(self.folder)[0]

    def newest_step(self) -> int:
        """Return the step of the newest checkpoint, 0 if there is none."""
        return max(map(_step, self._files()), default=0)

    def due(self) -> bool:
        """Tell whether the time for the next periodic checkpoint has come.

        Raises:
            LeaseLost: somebody else has taken over the run.
        """
        if self.lease is not None and self.lease.lost:
            self.lease.verify()
        return time.monotonic() - self.last >= self.seconds

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write a checkpoint, read it back, and only then remove all but the newest two."""
        import torch  # `status` reads the names of checkpoints alone

        buffer = io.BytesIO()
        torch.save({"run_id": self.run_id, "fingerprint": self.fingerprint, "state": state}, buffer)
        payload = buffer.getvalue()
        self.verify()
        if not self._files():
            atomic_write_bytes(self.folder / MADE_WITH, json.dumps(self.made_with).encode())
        path = self.folder / f"step-{step:09d}.pt"
        atomic_write_bytes(path, MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
        _payload(path)
        for old in self._files()[2:]:
            with suppress(OSError):
                old.unlink()
        self.last = time.monotonic()
        return path

    def load(self, path: Path) -> dict[str, Any]:
        """Read one checkpoint.

        Raises:
            StateError: it is damaged, or belongs to another run or other data.
        """
        import torch

        try:
            content = torch.load(io.BytesIO(_payload(path)), map_location="cpu", weights_only=True)
        except StateError:
            raise
        except Exception as error:
            raise StateError(f"checkpoint {path} cannot be read: {error}") from error
        if not (isinstance(content, dict) and isinstance(content.get("state"), dict)):
            raise StateError(f"checkpoint {path} has other content than a run's")
        run_id, fingerprint = str(content.get("run_id")), str(content.get("fingerprint"))
        if run_id != self.run_id:
            raise StateError(f"checkpoint {path} belongs to run {run_id[:12]}, not to {self.run_id[:12]}")
        if fingerprint != self.fingerprint:
            raise StateError(
                f"checkpoint {path} was made on other data (fingerprint {fingerprint[:12]}, now "
                f"{self.fingerprint[:12]}): give the data set that it was made on, or another name to the new one"
            )
        return content["state"]

    def states(self) -> Iterator[dict[str, Any]]:
        """Yield the states that can be read, the newest first; each refused file is reported by a warning."""
        for path in self._files():
            try:
                state = self.load(path)
                if state.get("step") != _step(path):
                    raise StateError(f"checkpoint {path} is at step {state.get('step')!r:.20}, which is not its name")
            except StateError as error:
                log.warning("%s; trying the one before it", error)
            else:
                yield state

    def clear(self) -> None:
        """Remove the checkpoints of a run whose record is written."""
        for path in self._files():
            with suppress(OSError):  # a folder of that name is nobody's checkpoint
                path.unlink()
        for name in (MADE_WITH, EPOCHS):
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / BEFORE, ignore_errors=True)
        if self.lease is not None:
            self.lease.release()

    def _files(self) -> list[Path]:
        return sorted((path for path in self.folder.glob("step-*.pt") if _NAME.fullmatch(path.name)), reverse=True)


_NAME = re.compile(r"step-([0-9]{9})\.pt")


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _payload(path: Path) -> bytes:
    """Return what stands behind the first line, if it is what the first line says."""
    try:
        data = read_bytes(path, MOST)
    except OSError as error:
        raise StateError(f"checkpoint {path} cannot be read: {error}") from error
    head, _, payload = data.partition(b"\n")
    if not head.startswith(MAGIC):
        raise StateError(f"{path} is not a sambench checkpoint")
    if hashlib.sha256(payload).hexdigest().encode() != head[len(MAGIC) :]:
        raise StateError(f"checkpoint {path} is damaged: its content does not match its checksum")
    return payload
