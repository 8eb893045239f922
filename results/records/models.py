"""Where kept models lie beside the records, and which there are; what is in them is read where torch is."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import StateError
from .store import Store

FOLDER = "models"
_NAME = re.compile(r"([0-9a-f]{64})(?:@(\d+))?\.safetensors")


@dataclass(frozen=True, slots=True, order=True)
class ModelFile:
    """A file of kept weights.

    Attributes:
        run_id: id of the run that they belong to.
        epoch: epochs after which they were kept, or -1 for the weights that the run was evaluated with.
        path: path of the file.
        size: size of the file in bytes.
    """

    run_id: str
    epoch: int
    path: Path
    size: int


FINAL = -1
"""Epoch of the weights that the record's final measurement was made with."""


def model_path(store: Store, run_id: str, epoch: int = FINAL) -> Path:
    """Return where the weights of a run are kept, ``models/<run id>.safetensors`` or ``models/<run id>@10.safetensors``
    for those after 10 epochs; the file need not exist."""
    point = "" if epoch == FINAL else f"@{epoch}"
    return store.root / FOLDER / f"{run_id}{point}.safetensors"


def list_models(store: Store) -> list[ModelFile]:
    """List the kept models of a store by run and epoch, from the names of the files."""
    folder = store.root / FOLDER
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [(entry, match) for entry in entries if (match := _NAME.fullmatch(entry.name))]
        return sorted(
            ModelFile(match[1], FINAL if match[2] is None else int(match[2]), Path(entry.path), entry.stat().st_size)
            for entry, match in found
        )


def find_run(store: Store, text: str) -> str:
    """Return the id of the finished run that starts with a text of at least six hex digits.

    Raises:
        StateError: there is none, or more than one.
    """
    found = [run_id for run_id in store.run_ids() if run_id.startswith(text)] if len(text) >= 6 else []
    if len(found) == 1:
        return found[0]
    shown = f"{len(found)} runs, {', '.join(run_id[:16] for run_id in found[:3])}, ..." if found else "no finished run"
    raise StateError(f"run {text!r}: {shown} in {store.runs}; give the first digits of its id, six at least")
