"""Stopping what this machine makes of a suite, from another terminal."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from ..results.records.lease import Holder, boot_id, lease_status
from ..results.records.store import Store
from .cluster.submission import list_submissions


def stop_local_runs(run_ids: Iterable[str], store: Store) -> tuple[int, list[str]]:
    """Ask the processes of this machine that make runs, jobs of a cluster aside, to write a checkpoint and end.

    A worker of a launch takes its launch along, so that no other run begins.

    Args:
        run_ids: ids of the runs.
        store: results folder in which they are made.

    Returns:
        How many processes were asked, and the names of other machines that make some of the runs.
    """
    asked: set[int] = set()
    elsewhere: set[str] = set()
    ours = {array.id for launch in list_submissions(store.root) for array in launch.arrays()}
    for run_id in run_ids:
        folder = store.checkpoints(run_id)
        held, holder = lease_status(folder)
        if not held or holder is None or holder.pid in asked:
            continue
        if holder.job.partition("_")[0] in ours:  # any other job is one that somebody works in, as with salloc
            continue
        if not _is_here(holder, folder):
            elsewhere.add(holder.host)
            continue
        try:
            os.kill(holder.pid, signal.SIGTERM)
        except ProcessLookupError:  # it ended meanwhile
            continue
        except PermissionError:
            elsewhere.add(f"{holder.host} by another user")
            continue
        asked.add(holder.pid)
    return len(asked), sorted(elsewhere)


def _is_here(holder: Holder, folder: Path) -> bool:
    """Tell whether the process with the holder's number is the holder: it has the lease open."""
    if holder.boot != boot_id():
        return False
    descriptors = Path(f"/proc/{holder.pid}/fd")
    if not Path("/proc").is_dir():
        return True
    try:
        opened = {os.path.realpath(link) for link in descriptors.iterdir()}
    except OSError:
        return False
    return any(Path(path).parent == folder.resolve() for path in opened)
