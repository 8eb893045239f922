"""A model that was not kept, made again by its run: the same spec gives the same bits on the same kind of machine."""

import os
import shutil
from pathlib import Path

from ...atomic import make_folder
from ...datasets.source import Source
from ...errors import StateError
from ...results.records.models import model_path
from ...results.records.record import RunRecord
from ...results.records.store import Store
from ..device import pick_device, torch_threads
from ..spec import RunSpec
from .keeping import Keep, read_model
from .run import run_spec

FOLDER = "rebuilt"
"""Folder of the runs that are being made again, beside the records."""


def rebuild_model(
    run_id: str,
    store: Store,
    *,
    source: Source | None = None,
    data_root: str | Path | None = None,
) -> None:
    """Train a finished run again and keep its model, if it ends in the weights of the record to the bit.

    It is trained on the kind of device and the number of threads that the record names; interrupted, the same call
    resumes. The record stays as it is.

    Args:
        run_id: id of a completed run.
        store: results folder with its record.
        source: kind and folder of its data set; by default it is found by its name.
        data_root: folder of downloaded data sets.

    Raises:
        StateError: the run has no final weights, took several devices, or ends in other weights here.
    """
    record = store.read(run_id)
    check_can_be_rebuilt(record)
    made = record.environment
    scratch = Store(store.root / FOLDER / run_id)
    with torch_threads(made.threads):
        again = run_spec(
            RunSpec.model_validate(record.spec),
            scratch,
            source=source,
            data_root=data_root,
            device=pick_device(made.device),
            keep=Keep(),
            beginnings=store,
        )
    if again.weights != record.weights:
        shutil.rmtree(scratch.root)
        here = again.environment
        raise StateError(
            f"run {run_id[:12]} ends in other weights here ({str(again.weights)[:12]}, the record says "
            f"{str(record.weights)[:12]}): it was made on {made.device_name} with torch {made.torch} and commit "
            f"{str(made.commit)[:9]}, this is {here.device_name} with torch {here.torch}. Make it again there, or make "
            "the run anew in another results folder with --keep weights"
        )
    make_folder(model_path(store, run_id).parent)
    os.replace(model_path(scratch, run_id), model_path(store, run_id))
    shutil.rmtree(scratch.root)
    read_model(store, run_id)


def check_can_be_rebuilt(record: RunRecord) -> None:
    """Refuse what has no model to make again.

    Raises:
        StateError: the run did not complete, or was made on several devices together.
    """
    if record.weights is None:
        raise StateError(f"run {record.run_id[:12]} has no final weights: it {record.status}")
    if record.environment.devices > 1:
        raise StateError(
            f"run {record.run_id[:12]} was made on {record.environment.devices} devices together; make it again with "
            f"`sambench run --devices {record.environment.devices} --keep weights` in another results folder"
        )
