"""Records as tidy tables for pandas: one row a run, or one row a run and epoch; CSV and Parquet."""

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ..errors import unknown
from .files import atomic_write_bytes
from .record import CurvePoint, RunRecord, canonical_json
from .workloads import key_of, method_of, workload_of

FORMATS = ("csv", "parquet")

COLUMNS: dict[str, str] = {
    "run_id": "sha256 of the spec; the name of the record's file",
    "workload": "runs with equal values may be compared: they share data and protocol",
    "method": "runs with equal values differ in nothing but their seed: the same variant, set the same",
    "status": "completed, diverged or failed",
    "error": "what ended a run that did not complete",
    "spec keys": "one column each, under its own name (variant, dataset, lr, seed, ...); lists as JSON",
    "hyper.NAME": "hyper-parameter NAME of the variant, its sampler or its base; empty where there is none",
    "measured_on": "split of the final measurement: test, or validation for a search run",
    "accuracy": "share of correct answers at the last epoch; empty for a run that did not complete",
    "loss": "mean negative log-likelihood at the last epoch, in nats",
    "ece": "expected calibration error at the last epoch, 15 equal-width bins",
    "examples": "number of examples of the final measurement",
    "best_validation_accuracy": "highest of the curve: secondary, for it profits from looking often",
    "steps": "optimizer steps",
    "skipped_steps": "steps dropped because an fp16 gradient overflowed",
    "gradient_evaluations": "forward and backward passes over one full batch, as counted",
    "forward_evaluations": "forward-only passes over one full batch",
    "samples": "training samples drawn",
    "declared_gradients": "gradient evaluations per step that the variant declares",
    "train_seconds": "training time, evaluation excluded",
    "evaluation_seconds": "time of all measurements",
    "images_per_second": "training samples drawn per second of training time",
    "peak_memory": "bytes held at once at most: by the allocator on CUDA, by the process on the CPU",
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
    "threads": "CPU threads",
    "host": "hash that tells machines apart",
    "commit": "commit of the source tree",
    "dirty": "whether the source tree had changes",
}
"""Columns of :func:`frame`. A spec key with the name of another column stands as ``spec.NAME``."""

CURVE_COLUMNS: dict[str, str] = {
    "run_id": "the run",
    **{name: field.description or name.replace("_", " ") for name, field in CurvePoint.model_fields.items()},
}
"""Columns of :func:`curves`."""


def frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Put one run a row, sorted by id; the columns are :data:`COLUMNS`, each of one type.

    Numbers are numbers: a missing one is NaN, or ``<NA>`` in a column of whole numbers. A hyper-parameter that is
    a number in some runs and a text in others (``lam``: 0.5 or ``1-1/t``) is text in all of them.
    """
    rows = sorted((_row(record) for record in records), key=lambda row: row["run_id"])
    extra = {key for row in rows for key in row} - set(COLUMNS)
    own = [key for key in COLUMNS if key not in ("spec keys", "hyper.NAME")]
    at = own.index("measured_on")
    hyper = sorted(key for key in extra if key.startswith("hyper."))
    order = [*own[:at], *sorted(extra - set(hyper)), *hyper, *own[at:]]
    return pd.DataFrame({key: _column([row.get(key) for row in rows]) for key in order})


def curves(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Put one epoch of one run a row, sorted by run and epoch; the columns are :data:`CURVE_COLUMNS`."""
    points = [(record.run_id, point) for record in sorted(records, key=lambda r: r.run_id) for point in record.curve]
    columns = {"run_id": _column([run_id for run_id, _ in points])}
    for key in CurvePoint.model_fields:
        columns[key] = _column([getattr(point, key) for _, point in points])
    return pd.DataFrame(columns)


def export(records: Iterable[RunRecord], path: str | Path, format: Literal["csv", "parquet"] = "csv") -> pd.DataFrame:
    """Write the table of :func:`frame` to a file, whole or not at all, and return it.

    The same records give the same bytes, in whatever order they come.

    Raises:
        ConfigError: the format is not one of csv and parquet.
        StateError: the file cannot be written.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    table = frame(records)
    if format == "csv":
        data = table.to_csv(index=False).encode()
    else:
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        data = buffer.getvalue()
    atomic_write_bytes(path, data)
    return table


def _row(record: RunRecord) -> dict[str, Any]:
    metrics, environment = record.metrics, record.environment
    result = {
        "run_id": record.run_id,
        "workload": _short(workload_of(record)),
        "method": _short(method_of(record)),
        "status": record.status,
        "error": record.error,
        "measured_on": metrics and metrics.split,
        "accuracy": metrics and metrics.accuracy,
        "loss": metrics and metrics.loss,
        "ece": metrics and metrics.ece,
        "examples": metrics and metrics.count,
        "best_validation_accuracy": record.best_validation_accuracy,
        **dict(record.counters),
        "declared_gradients": record.declared_gradients,
        **dict(record.timing),
        "peak_memory": record.peak_memory,
        "classes": record.classes,
        "parameters": record.parameters,
        "variant_status": record.variant_status,
        "variant_source": record.variant_source,
        "dataset_fingerprint": record.dataset_fingerprint,
        "weights": record.weights,
        **dict(environment),
    }
    spec = {key: value for key, value in record.spec.items() if key != "hyper"}
    hyper = {f"hyper.{key}": value for key, value in record.spec.get("hyper", {}).items()}
    return result | {f"spec.{key}" if key in COLUMNS else key: value for key, value in spec.items()} | hyper


def _short(part: Mapping[str, Any]) -> str:
    return hashlib.sha256(key_of(part).encode()).hexdigest()[:12]


def _column(values: Sequence[Any]) -> pd.Series:
    """Find the narrowest type that holds all values: bool, whole number, float, text."""
    kinds = {type(value) for value in values} - {type(None)}
    missing = any(value is None for value in values)
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean" if missing else "bool")
    if kinds == {int}:
        return pd.Series(values, dtype="Int64" if missing else "int64")
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="float64")
    texts = [value if value is None or isinstance(value, str) else canonical_json(value) for value in values]
    return pd.Series(texts, dtype="string")
