"""Records as tidy tables for pandas: one row a run, or one row a run and epoch; CSV and Parquet."""

import hashlib
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...atomic import atomic_write_bytes
from ...errors import StateError, unknown
from ..records.measurement import Measurement
from ..records.record import Counters, CurvePoint, Environment, RunRecord, Timing, canonical_json
from ..records.store import Store
from .comparability import REPETITION, identity_of, key_of, method_of, workload_of
from .measured import good_measurements, with_measurements

log = logging.getLogger("sambench")
FORMATS = ("csv", "parquet")

COLUMNS: dict[str, str] = {
    "run_id": "sha256 of the spec; the name of the record's file",
    "workload": "runs with equal values may be compared: they share data and protocol",
    "method": "runs with equal values differ only in their seed: the same variant with the same settings",
    "status": "completed, diverged or failed",
    "error": "what ended a run that did not complete",
    "spec keys": "one column each, under its own name (variant, dataset, lr, seed, ...); lists as JSON",
    "hyper.NAME": "hyper-parameter NAME of the variant, its sampler or its base; empty where there is none",
    "measured_on": "split of the final measurement: test, or validation for a search run",
    "accuracy": "share of correct answers at the last epoch; empty for a run that did not complete",
    "loss": "mean negative log-likelihood at the last epoch, in nats",
    "ece": "expected calibration error at the last epoch, 15 equal-width bins",
    "examples": "number of examples of the final measurement",
    "best_validation_accuracy": "highest of the curve: secondary, since frequent measurement raises it",
    "best_epoch": "secondary: first epoch with that highest accuracy; empty where nothing was held out. No result: it "
    "chooses by what it is measured on",
    "train_error": "with label noise: share of training samples whose given label is not predicted at the end",
    "steps": "optimizer steps",
    "skipped_steps": "steps dropped because an fp16 gradient overflowed",
    "gradient_evaluations": "forward and backward passes over one full batch, as counted",
    "forward_evaluations": "forward-only passes over one full batch",
    "samples": "training samples drawn",
    "declared_gradients": "gradient evaluations per step that the variant declares",
    "train_seconds": "training time, evaluation excluded",
    "evaluation_seconds": "time of all measurements",
    "images_per_second": "training samples drawn per second of training time",
    "began": "Unix time of the first step; empty where it was not noted",
    "peak_memory": "peak memory in bytes: of the allocator on CUDA, of the process on the CPU",
    "classes": "number of classes; 1 / classes is the accuracy of guessing",
    "parameters": "number of trained values of the model",
    "variant_status": "reference, or why the implementation is not proven",
    "variant_source": "sha256 of the variant's source file",
    "dataset_fingerprint": "sha256 of the decoded data set",
    "weights": "sha256 of the final state of the model",
    "sambench": "version of the package",
    "python": "version of Python",
    "torch": "version of torch",
    "platform": "operating system",
    "device": "cpu, cuda or mps",
    "device_name": "name of the processor or accelerator",
    "driver": "version of its driver",
    "devices": "number of devices that the run was spread over",
    "threads": "CPU threads of a process",
    "host": "hash that tells machines apart",
    "commit": "commit of the source tree",
    "dirty": "whether the source tree had changes",
    "source": "sha256 of the modules of an installed package, which has no commit",
    "behaviour": "hash of a short training of the variant: equal where its rule is",
    "libraries": "versions of libraries that results may depend on, as JSON",
    "MEASURE.VALUE": "a value of a measure of the kept model (docs/measures.md), with the settings that are not at "
    "their default in brackets: `pgd[epsilon=2.0].accuracy`; empty where it was not measured",
}
"""Columns of :func:`frame`. A spec key with the name of another column is called ``spec.NAME``."""

CURVE_COLUMNS: dict[str, str] = {
    "run_id": "the run",
    **{name: field.description or name.replace("_", " ") for name, field in CurvePoint.model_fields.items()},
}
"""Columns of :func:`curves`."""


_METRICS = {"measured_on": "split", "accuracy": "accuracy", "loss": "loss", "ece": "ece", "examples": "count"}
_ATTRIBUTES = {
    **{key: key for key in ("run_id", "status", "error", "best_validation_accuracy", "best_epoch", "train_error")},
    **{
        key: key
        for key in ("declared_gradients", "peak_memory", "classes", "parameters", "variant_status", "variant_source")
    },
    **{key: key for key in ("dataset_fingerprint", "weights")},
    **{key: f"counters.{key}" for key in Counters.model_fields},
    **{key: f"timing.{key}" for key in Timing.model_fields},
    **{key: f"environment.{key}" for key in Environment.model_fields},
}
_EMPTY = {
    **dict.fromkeys(("best_validation_accuracy", "declared_gradients", "accuracy", "loss", "ece"), "float64"),
    "train_error": "float64",
    "best_epoch": "Int64",
    "peak_memory": "Int64",
    "examples": "Int64",
    "dirty": "boolean",
}  # types of columns in which every value may be missing; the others are texts then
_OWN = (*_ATTRIBUTES, *_METRICS, *REPETITION)  # the run id comes first: rows are sorted by it
_of_record, _of_metrics = attrgetter(*_ATTRIBUTES.values()), attrgetter(*_METRICS.values())


def frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return a table with one row a run, sorted by id; the columns are :data:`COLUMNS`, each of one type.

    A missing number is NaN, or ``<NA>`` in a column of integers. A hyper-parameter that is a number in some runs and a
    text in others (``lam``: 0.5 or ``1-1/t``) is text in all of them.
    """
    own: list[tuple[Any, ...]] = []
    shared: list[dict[str, Any]] = []
    index: dict[bytes, int] = {}
    for record in records:  # one in memory at a time; columns that runs of a method share are kept once
        if (identity := identity_of(record)) not in index:
            index[identity] = len(shared)
            shared.append(_shared(record))
        metrics = (None,) * len(_METRICS) if record.metrics is None else _of_metrics(record.metrics)
        repetition = (record.spec.get(key) for key in REPETITION)
        own.append((*_of_record(record), *metrics, *repetition, index[identity]))
    own.sort(key=itemgetter(0))
    *values, where = zip(*own, strict=True) if own else [()] * (len(_OWN) + 1)
    columns = {name: _column(column, _EMPTY.get(name, "string")) for name, column in zip(_OWN, values, strict=True)}
    absent = {key for key in REPETITION if columns[key].isna().all()}
    for key in {key for part in shared for key in part} | {"workload", "method"}:
        one_each = _column([part.get(key) for part in shared])
        columns[key] = one_each.take(np.array(where, dtype=np.int64)).reset_index(drop=True)
    fixed = [key for key in COLUMNS if key not in ("spec keys", "hyper.NAME", "MEASURE.VALUE")]
    at = fixed.index("measured_on")
    extra = sorted(columns.keys() - set(fixed) - absent, key=lambda key: (key.startswith("hyper."), key))
    return pd.DataFrame({key: columns[key] for key in (*fixed[:at], *extra, *fixed[at:])})


def load_results(results: str | Path) -> pd.DataFrame:
    """Read the records and measurements of a results folder into a table with one row a run; see :func:`frame`.

    Args:
        results: the folder; files in it that cannot be read as records are left out with a warning each.

    Raises:
        StateError: the folder has no records.
    """
    store, found = Store(results), []
    for record in store.scan():
        if isinstance(record, RunRecord):
            found.append(record)
        else:
            log.warning("left out: %s", record)
    if not found:
        raise StateError(f"there are no records in {store.runs}; `sambench run` and `launch` write them there")
    return with_measurements(frame(found), good_measurements(store))


def curves(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return a table with one row an epoch of a run, sorted by run and epoch; the columns are :data:`CURVE_COLUMNS`."""
    points = [(record.run_id, point) for record in sorted(records, key=lambda r: r.run_id) for point in record.curve]
    columns = {"run_id": _column([run_id for run_id, _ in points])}
    for key in CurvePoint.model_fields:
        columns[key] = _column([getattr(point, key) for _, point in points], "float64")
    return pd.DataFrame(columns)


def export(
    records: Iterable[RunRecord],
    path: str | Path,
    format: Literal["csv", "parquet"] = "csv",
    measurements: Iterable[Measurement] = (),
) -> pd.DataFrame:
    """Write the table of :func:`frame`, with the columns of measurements, to a file, whole or not at all; return it.

    The same records give the same bytes, in any order.

    Raises:
        ConfigError: the format is not one of csv and parquet.
        StateError: the file cannot be written.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    table = with_measurements(frame(records), measurements)
    if format == "csv":
        data = table.to_csv(index=False).encode()
    else:
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        data = buffer.getvalue()
    atomic_write_bytes(path, data)
    return table


def _shared(record: RunRecord) -> dict[str, Any]:
    """Return the columns that all runs of one method on one workload share."""
    spec = {key: value for key, value in record.spec.items() if key not in ("hyper", *REPETITION)}
    hyper = {f"hyper.{key}": value for key, value in record.spec.get("hyper", {}).items()}
    keys = {"workload": _short(workload_of(record)), "method": _short(method_of(record))}
    return keys | {f"spec.{key}" if key in COLUMNS else key: value for key, value in spec.items()} | hyper


def _short(part: Mapping[str, Any]) -> str:
    return hashlib.sha256(key_of(part).encode()).hexdigest()[:12]


def _column(values: Sequence[Any], empty: str = "string") -> pd.Series:
    """Make a column of the narrowest type for all values (bool, int, float, string); ``empty`` if all are missing."""
    kinds = {type(value) for value in values} - {type(None)}
    missing = any(value is None for value in values)
    if not kinds:
        return pd.Series(values, dtype=empty)
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean" if missing else "bool")
    if kinds == {int}:
        return pd.Series(values, dtype="Int64" if missing else "int64")
    if kinds <= {int, float}:
        return pd.Series(values, dtype="float64")
    texts = [value if value is None or isinstance(value, str) else canonical_json(value) for value in values]
    return pd.Series(texts, dtype="string")
