"""What a results folder holds that no result depends on: checkpoints, trials that a ledger has, ended submissions."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..results.records.lease import Held, Lease, lease_status
from ..results.records.store import Store
from ..results.records.trials import FOLDER as LEDGERS
from ..results.records.trials import TRIALS, read_ledger
from .cluster.queue import Queue
from .cluster.submission import Submission, list_submissions


@dataclass(frozen=True)
class Leftover:
    """Something that can be removed, or the reason why it stays.

    Args:
        what: its kind, in the plural, for people.
        path: file or folder.
        bytes: room that it takes.
        kept: why it stays; empty where it may go.
        leased: whether it is the folder of a run, which is removed under the run's lease alone.
    """

    what: str
    path: Path
    bytes: int
    kept: str = ""
    leased: bool = False


def leftovers(store: Store, kind: str) -> list[Leftover]:
    """List what can be removed of one kind, and what of it stays for now; records of results are never among it.

    Args:
        store: results folder.
        kind: a key of :data:`KINDS`.

    Raises:
        StateError: a ledger is damaged, so that nobody knows what it has.
    """
    return list(KINDS[kind](store))


def remove(leftover: Leftover) -> bool:
    """Remove one, and return whether it is gone: somebody may have begun to use it since it was listed."""
    if leftover.kept:
        return False
    if not leftover.leased:
        _delete(leftover.path)
        return True
    with suppress(Held), Lease(leftover.path):
        for entry in leftover.path.iterdir():
            if not entry.name.startswith(("lease-", ".lease-")):
                _delete(entry)
        return True
    return False


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _checkpoints(store: Store) -> Iterator[Leftover]:
    for folder in _folders(store.root / "checkpoints"):
        kept = "in use: its run is being made" if lease_status(folder)[0] else ""
        what = (
            "checkpoints of runs that are done"
            if store.has(folder.name)
            else "checkpoints of runs that then start anew"
        )
        yield Leftover(what, folder, _size(folder), kept, leased=True)


def _trials(store: Store) -> Iterator[Leftover]:
    trials = Store(store.root / TRIALS)
    ledgers = sorted((store.root / LEDGERS).glob("*.parquet"))
    known = {trial.run_id for ledger in ledgers for trial in read_ledger(ledger)}
    for run_id in sorted({*trials.run_ids(), *trials.failed_ids()}) if trials.runs.is_dir() else ():
        kept = "" if run_id in known else "in no ledger yet: its tuning has not ended"
        for path in (trials.path(run_id), trials.failed_path(run_id)):
            if path.is_file():
                yield Leftover("trials that a ledger has", path, _size(path), kept)
    yield from _checkpoints(trials)


def _launches(store: Store) -> Iterator[Leftover]:
    for launch in list_submissions(store.root):
        yield Leftover("launches on a cluster that ended", launch.folder, _size(launch.folder), _in_use(launch, store))


def _in_use(launch: Submission, store: Store) -> str:
    queue = Queue.of([launch])
    if any(lease_status(store.checkpoints(run_id))[0] for run_id in launch.job_of):
        return "in use: one of its runs is being made"
    if any(queue.may_go_on(launch, run_id) for run_id in launch.job_of):
        return "in use: one of its jobs waits or runs"
    if queue.silent and launch.measures:
        return "perhaps in use: it measures, and SLURM does not answer"
    if queue.silent and not all(store.has(run_id) for run_id in launch.job_of):
        return "perhaps in use: it has runs to make, and SLURM does not answer"
    return ""


KINDS: dict[str, Callable[[Store], Iterator[Leftover]]] = {
    "tuning": _trials,
    "launches": _launches,
    "checkpoints": _checkpoints,
}


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(Path(entry) for entry in os.scandir(parent) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; links are not followed."""
    if not path.is_dir():
        return path.lstat().st_size
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(path) for name in names)
