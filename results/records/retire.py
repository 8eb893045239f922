"""Putting a run away: what there is of it moves to the folder ``replaced``, and it can be made from its first step."""

import os
import re
import shutil
from pathlib import Path

from ...atomic import make_folder
from ...errors import StateError
from .epochs import EPOCHS
from .lease import lease_status
from .measurement import FOLDER as MEASUREMENTS
from .models import FOLDER as MODELS
from .models import list_models
from .store import Store

REPLACED = "replaced"
"""``replaced/<run_id>-<n>.json`` is a record that a run had, ``replaced/<run_id>-<n>/`` its models and measurements."""


def retire(store: Store, run_id: str) -> None:
    """Move record, kept models and measurements of a run to ``replaced``, and delete its checkpoints.

    The record moves last: a run that is done has nothing that was measured on other weights, whenever this is cut off.

    Raises:
        StateError: somebody is making the run, or the folder cannot be written.
    """
    folder = store.checkpoints(run_id)
    if lease_status(folder)[0]:
        raise StateError(f"run {run_id[:12]} is being made; stop it, or wait for it, before it is made anew")
    for path in (*folder.glob("step-*.pt"), folder / "made_with.json", folder / EPOCHS):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / "before", ignore_errors=True)
    there = _next(store.root / REPLACED, run_id)
    for kept in list_models(store):
        if kept.run_id == run_id:
            _move(kept.path, there / MODELS / kept.path.name)
    if (measured := store.root / MEASUREMENTS / run_id).is_dir():
        _move(measured, there / MEASUREMENTS)
    if store.has(run_id):
        _move(store.path(run_id), there.with_suffix(".json"))


def _next(replaced: Path, run_id: str) -> Path:
    """Return the place of what a run has now: one more than the last that it ever had."""
    names = replaced.iterdir() if replaced.is_dir() else ()
    taken = [int(found[1]) for path in names if (found := re.fullmatch(rf"{run_id}-(\d+)(\.json)?", path.name))]
    return replaced / f"{run_id}-{max(taken, default=0) + 1}"


def _move(path: Path, to: Path) -> None:
    make_folder(to.parent)
    os.replace(path, to)
