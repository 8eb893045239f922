"""The store: a folder of records, one file a run, written once and safe to read at any time."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ...atomic import atomic_write_bytes, check_writable, make_folder, remove_leftovers
from ...errors import StateError, explain
from ...plain_text import printable
from ...reading import read_bytes
from .record import RunRecord

_FINAL = ".json"
_FAILED = ".failed.json"
_STATUS = re.compile(rb'"status":"(completed|diverged|failed)"')
_HEAD = 8192


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file of the store that cannot be read as what it should be: a record, a manifest, a ledger, a retraction.

    Attributes:
        path: path of the file.
        problem: what is wrong with it, one line.
        kind: what it should be.
        way_out: what to do about it.
    """

    path: Path
    problem: str
    kind: str = "record"
    way_out: str = "Restore the file, or move it away and run again; nothing else depends on it."

    @property
    def name(self) -> str:
        """The file's name, as it can be printed."""
        return printable(self.path.name)

    def __str__(self) -> str:
        return f"the {self.kind} {printable(str(self.path))} cannot be used: {self.problem}. {self.way_out}"


class DamagedError(StateError):
    """A file is not what it should be; :attr:`damaged` says it in parts."""

    def __init__(self, damaged: Damaged) -> None:
        super().__init__(str(damaged))
        self.damaged = damaged


class Store:
    """Records of runs under one folder, safe for any number of processes at once.

    ======================================  ===========================================================
    ``root/runs/<run_id>.json``             the run's record, final: completed or diverged, never changed
    ``root/runs/<run_id>.failed.json``      its last failed attempt, until an attempt succeeds
    ``root/checkpoints/<run_id>/``          leases, checkpoints and epochs of a run in progress
    ``root/replaced/<run_id>-<n>.json``     records that a run had before it was made anew: :mod:`.retire`
    ======================================  ===========================================================

    Failed attempts have a file name of their own, so that file names tell which runs are done, and a retry that fails
    cannot overwrite the record of one that succeeds.

    Args:
        root: the results folder; the first write or :meth:`check_writable` creates it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.runs = self.root / "runs"

    def path(self, run_id: str) -> Path:
        """Return the path of the final record of a run, which need not exist."""
        return self.runs / f"{run_id}{_FINAL}"

    def failed_path(self, run_id: str) -> Path:
        """Return the path of the record of the last failed attempt of a run, which need not exist."""
        return self.runs / f"{run_id}{_FAILED}"

    def checkpoints(self, run_id: str) -> Path:
        """Return the folder for the checkpoints of a run; it need not exist."""
        return self.root / "checkpoints" / run_id

    def has(self, run_id: str) -> bool:
        """Tell whether the run is done: it has a final record. A failed attempt does not count.

        Raises:
            StateError: the folder cannot be read.
        """
        try:
            return self.path(run_id).is_file()
        except OSError as error:
            raise self._unreadable(error) from error

    def run_ids(self) -> list[str]:
        """List the ids of the runs that are done, sorted; it reads file names only."""
        return sorted(name.removesuffix(_FINAL) for name in self._names() if not name.endswith(_FAILED))

    def failed_ids(self) -> list[str]:
        """List the ids of the runs whose attempts all failed, sorted; it reads file names only."""
        names = self._names()
        failed = {name.removesuffix(_FAILED) for name in names if name.endswith(_FAILED)}
        return sorted(run_id for run_id in failed if f"{run_id}{_FINAL}" not in names)

    def statuses(self) -> dict[str, str]:
        """Return the status of every run by its id, from the first bytes of each file, without validation.

        The status is ``"damaged"`` where these bytes hold none; :meth:`read` then says what is wrong.
        """
        found = {}
        for name in sorted(self._names(), reverse=True):  # the final record of a run comes after its failed attempt
            found[name.split(".")[0]] = "damaged"
            if os.path.isfile(path := f"{self.runs}/{name}"):  # opening a pipe would wait for a writer
                with suppress(OSError), open(path, "rb") as file:
                    if match := _STATUS.search(file.read(_HEAD)):
                        found[name.split(".")[0]] = match[1].decode()
        return found

    def read(self, run_id: str) -> RunRecord:
        """Read and validate the record of a run: the final one, else that of its last failed attempt.

        Raises:
            StateError: there is no such record, or its file is damaged.
        """
        record = self._read(run_id)
        if record is None:
            raise StateError(f"there is no record of run {run_id} in {self.runs}; `sambench run` writes one")
        return _strict(record)

    def scan(self, run_ids: Iterable[str] | None = None) -> Iterator[RunRecord | Damaged]:
        """Read every run, or those of these ids, in the order of the id: the record, or what is wrong with its file.

        A damaged file does not stop the scan.
        """
        for run_id in sorted({*self.run_ids(), *self.failed_ids()} if run_ids is None else run_ids):
            if (record := self._read(run_id)) is not None:
                yield record

    def records(self) -> Iterator[RunRecord]:
        """Read every run in the order of its id, failed ones included.

        Raises:
            StateError: a file is damaged; the message names it, what is wrong with it, and the way out.
        """
        for record in self.scan():
            yield _strict(record)

    def write(self, record: RunRecord) -> bool:
        """Add a record to the store, whole or not at all; the first final record of a run is never replaced.

        Returns:
            Whether it was written: ``False`` when the run already had its final record.

        Raises:
            StateError: the record would not be valid when read back, or the folder cannot be written.
        """
        text = record.model_dump_json()
        try:
            RunRecord.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise StateError(
                f"run {record.run_id} made a record that cannot be read back: {_summary(error)}"
            ) from error
        make_folder(self.runs)
        data = f"{text}\n".encode()
        if record.status == "failed":
            return not self.has(record.run_id) and atomic_write_bytes(self.failed_path(record.run_id), data)
        written = atomic_write_bytes(self.path(record.run_id), data, overwrite=False)
        if written:
            self.failed_path(record.run_id).unlink(missing_ok=True)
        return written

    def check_writable(self) -> None:
        """Make sure, before a run spends hours, that its record can be written; delete leftovers of killed processes.

        Raises:
            StateError: the folder cannot be created or written, with the reason and the way out.
        """
        check_writable(self.runs)
        make_folder(self.root / "checkpoints")
        remove_leftovers(self.runs)

    def _read(self, run_id: str) -> RunRecord | Damaged | None:
        # Strings, not Path objects: building paths takes as long as reading small files.
        final, failed = f"{self.runs}/{run_id}{_FINAL}", f"{self.runs}/{run_id}{_FAILED}"
        for path in (final, failed, final):  # the final record may replace the failed attempt meanwhile
            try:
                return _parse(path, read_bytes(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                return Damaged(Path(path), error.strerror or str(error))
        return Damaged(Path(final), "it is a link to nothing") if os.path.islink(final) else None

    def _names(self) -> set[str]:
        try:
            names = os.listdir(self.runs)
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise self._unreadable(error) from error
        return {name for name in names if name.endswith(_FINAL) and not name.startswith(".")}

    def _unreadable(self, error: OSError) -> StateError:
        return StateError(f"cannot read the results in {self.runs}: {error.strerror}")


def store_of(folder: Path) -> Store:
    """Return the store that somebody means by a folder: it, or the one whose folder ``runs`` it is."""
    return Store(folder.parent if folder.name == "runs" and not (folder / "runs").is_dir() else folder)


def _parse(path: str, data: bytes) -> RunRecord | Damaged:
    try:
        record = RunRecord.model_validate_json(data, strict=True)
    except ValidationError as error:
        return Damaged(Path(path), _summary(error))
    ending = _FAILED if path.endswith(_FAILED) else _FINAL
    if not path.endswith(f"/{record.run_id}{ending}"):
        return Damaged(Path(path), f"it holds the record of another run, {record.run_id}")
    if (record.status == "failed") != (ending == _FAILED):
        return Damaged(Path(path), f"a record of status {record.status!r} does not belong under this name")
    return record


def _strict(record: RunRecord | Damaged) -> RunRecord:
    if isinstance(record, Damaged):
        raise DamagedError(record)
    return record


def _summary(error: ValidationError, most: int = 3) -> str:
    """Put what pydantic refused into one line: the first problems, and how many more there are."""
    problems = explain(error, "the record")
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more
