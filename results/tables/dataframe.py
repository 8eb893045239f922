"""Records as tidy tables for pandas: one row a run, or one row a run and epoch; CSV and Parquet."""

import io
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...atomic import atomic_write_bytes
from ...errors import StateError, unknown
from ..records.manifest import TRACKS, SuiteManifest, manifest_files, read_manifest
from ..records.record import Counters, CurvePoint, Environment, RunRecord, Timing, canonical_json
from ..records.retractions import reasons, scan_retractions
from ..records.store import Damaged, Store
from .boards import readable
from .comparability import REPETITION, chooses_hyper, identity_of, key_of, labels, method_of, titles, workload_of
from .measured import good_measurements, with_measurements

log = logging.getLogger("sambench")
FORMATS = ("csv", "parquet")

COLUMNS: dict[str, str] = {
    "run_id": "sha256 of the spec; the name of the record's file",
    "suite": "suites that list the run, with commas",
    "track": "tracks of these suites that list it, with commas: E, G, T",
    "workload": "runs with equal values may be compared: they share data and protocol; named by data set and model, and"
    " by what else tells it from others",
    "method": "runs of a workload with equal values differ only in their seed; named by the variant, and by what else "
    "tells it from the others there",
    "status": "completed, diverged or failed",
    "error": "what ended a run that did not complete",
    "retracted": "why no board counts the run",
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
    "train_error": "with label noise, random labels, moved pixels or --init adversarial: share of training samples "
    "whose given label is not predicted",
    "steps": "optimizer steps",
    "skipped_steps": "steps dropped because an fp16 gradient overflowed",
    "gradient_evaluations": "forward and backward passes over one full batch, as counted",
    "forward_evaluations": "forward-only passes over one full batch",
    "samples": "training samples drawn",
    "declared_gradients": "gradient evaluations per step that variant and loss hook declare",
    "train_seconds": "training time, evaluation excluded",
    "evaluation_seconds": "time of all measurements",
    "images_per_second": "training samples drawn per second of training time",
    "began": "Unix time of the first step; empty where it was not noted",
    "peak_memory": "peak memory in bytes: of the allocator on CUDA, of the process on the CPU; not where runs share it",
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
    "device": "cpu or cuda",
    "device_name": "name of the processor or accelerator",
    "driver": "version of its driver",
    "devices": "number of devices that the run was spread over",
    "threads": "CPU threads of a process",
    "runs_in_process": "runs that its process made in turns, where there were several",
    "host": "hash that tells machines apart",
    "commit": "commit of the source tree",
    "dirty": "whether the source tree had changes",
    "source": "sha256 of the modules of an installed package, which has no commit",
    "behaviour": "hash of a short training of the variant: equal where its rule is",
    "arithmetic": "on CUDA: what float32 means, and which algorithms may be taken",
    "graph": "with --cuda-graph: whether steps were recorded, and if not, why",
    "compiler": "with --compile: what compiled the passes of training",
    "libraries": "versions of libraries that results may depend on, as JSON",
    "plugin_commits": "commits of the checkouts that plug-ins lie in, as JSON",
    "MEASURE.VALUE": "a value of a measure of the kept model (docs/measures.md), with the settings that are not at "
    "their default in brackets: `pgd[epsilon=2.0].accuracy`; empty where it was not measured",
}
"""Columns of :func:`frame`. A spec key with the name of another column is called ``spec.NAME``."""

CURVE_COLUMNS: dict[str, str] = {
    "run_id": "the run",
    **{name: COLUMNS[name] for name in ("suite", "track", "workload", "method")},
    "seed": "seed of the run",
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
    "runs_in_process": "Int64",
    "dirty": "boolean",
}  # types of columns in which every value may be missing; the others are texts then
_OWN = (*_ATTRIBUTES, *_METRICS, *REPETITION)  # the run id comes first: rows are sorted by it
_of_record, _of_metrics = attrgetter(*_ATTRIBUTES.values()), attrgetter(*_METRICS.values())


def frame(
    records: Iterable[RunRecord],
    manifests: Sequence[SuiteManifest] = (),
    retracted: Mapping[str, str] | None = None,
    only: frozenset[str] | None = None,
) -> pd.DataFrame:
    """Return a table with one row a run, sorted by id; the columns are :data:`COLUMNS`, each of one type.

    A missing number is NaN, or ``<NA>`` in a column of integers. A hyper-parameter that is a number in some runs and a
    text in others (``lam``: 0.5 or ``1-1/t``) is text in all of them.

    Args:
        records: records of the runs; only one at a time is in memory.
        manifests: the suites that may list them.
        retracted: run id -> why the run was retracted.
        only: ids of the runs that the table has; all by default. Methods are told apart among these runs, workloads
            among all, as on a board.
    """
    own: list[tuple[Any, ...]] = []
    shared: list[dict[str, Any]] = []
    index: dict[bytes, int] = {}
    for record in records:  # one in memory at a time; columns that runs of a method share are kept once
        if (identity := identity_of(record)) not in index:
            index[identity] = len(shared)
            shared.append(_shared(record))
        if only is not None and record.run_id not in only:
            continue
        metrics = (None,) * len(_METRICS) if record.metrics is None else _of_metrics(record.metrics)
        repetition = (record.spec.get(key) for key in REPETITION)
        own.append((*_of_record(record), *metrics, *repetition, index[identity]))
    own.sort(key=itemgetter(0))
    *values, where = zip(*own, strict=True) if own else [()] * (len(_OWN) + 1)
    columns = {name: _column(column, _EMPTY.get(name, "string")) for name, column in zip(_OWN, values, strict=True)}
    absent = {key for key in REPETITION if columns[key].isna().all()}
    used = sorted(set(where))
    _name(shared, used)
    taken = np.searchsorted(used, np.array(where, dtype=np.int64))
    for key in {key for i in used for key in shared[i]} - {_PARTS} | {"workload", "method"}:
        one_each = _column([shared[i].get(key) for i in used])
        columns[key] = one_each.take(taken).reset_index(drop=True)
    listed = _listed(manifests)
    for name, found in (*listed.items(), ("retracted", retracted or {})):
        columns[name] = _column([found.get(run_id) for run_id in columns["run_id"]])
    fixed = [key for key in COLUMNS if key not in ("spec keys", "hyper.NAME", "MEASURE.VALUE")]
    at = fixed.index("measured_on")
    extra = sorted(columns.keys() - set(fixed) - absent, key=lambda key: (key.startswith("hyper."), key))
    return pd.DataFrame({key: columns[key] for key in (*fixed[:at], *extra, *fixed[at:])})


def load_results(
    results: str | Path, *, suite: str | None = None, track: str | None = None, curves: bool = False
) -> pd.DataFrame:
    """Read the records and measurements of a results folder into a table with one row a run; see :func:`frame`.

    Args:
        results: the folder; files in it that cannot be read as records are left out with a warning each.
        suite: the runs that this suite lists, by default all runs.
        track: the runs of this track, ``"E"``, ``"G"`` or ``"T"``; methods then have the names of its board.
        curves: one row an epoch of a run instead; see :func:`curves`.

    Raises:
        ConfigError: the suite or the track does not exist.
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
    damaged = list[Damaged]()
    manifests = choose(readable(read_manifest, manifest_files(results), damaged), suite, track)
    retracted = list(scan_retractions(results))
    for one in (*damaged, *(one for one in retracted if isinstance(one, Damaged))):
        log.warning("left out: %s", one)
    only = frozenset(run for one in manifests for run in one.runs) if suite or track else None
    table = frame(found, manifests, reasons(one for one in retracted if not isinstance(one, Damaged)), only)
    return curves_of(found, table) if curves else with_measurements(table, good_measurements(store))


def choose(manifests: Sequence[SuiteManifest], suite: str | None, track: str | None) -> list[SuiteManifest]:
    """Reduce the manifests of a store to one suite, to one track, or to both.

    Raises:
        ConfigError: the suite or the track does not exist.
    """
    if suite and suite not in (names := [manifest.name for manifest in manifests]):
        raise unknown("suite of these results", suite, names)
    chosen = [manifest for manifest in manifests if suite in (None, "", manifest.name)]
    if not track:
        return chosen
    if track not in (tracks := {one.name for manifest in chosen for one in manifest.tracks}):
        raise unknown(f"track of {suite or 'these results'}", track, tracks)
    return [
        manifest.model_copy(update={"tracks": tuple(t for t in manifest.tracks if t.name == track), "untracked": ()})
        for manifest in chosen
    ]


def curves(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return a table with one row an epoch of a run, sorted by run and epoch; the columns are :data:`CURVE_COLUMNS`."""
    return curves_of(records, frame(records))


def curves_of(records: Sequence[RunRecord], runs: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of the runs of a table, with the names that it has for them.

    Args:
        records: the records of at least these runs.
        runs: what :func:`frame` returned.
    """
    own = {record.run_id: record for record in records}
    points = [(run_id, point) for run_id in runs["run_id"] for point in own[run_id].curve]
    columns = {"run_id": _column([run_id for run_id, _ in points])}
    for key in CurvePoint.model_fields:
        columns[key] = _column([getattr(point, key) for _, point in points], "float64")
    names = [name for name in ("suite", "track", "workload", "method", "seed") if name in runs]
    table = runs[["run_id", *names]].merge(pd.DataFrame(columns), on="run_id", validate="one_to_many")
    return table.reindex(columns=[name for name in CURVE_COLUMNS if name in table])


def export(table: pd.DataFrame, path: str | Path, format: Literal["csv", "parquet"] = "csv") -> None:
    """Write a table to a file, whole or not at all; the same table gives the same bytes.

    Raises:
        ConfigError: the format is not one of csv and parquet.
        StateError: the file cannot be written.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if format == "csv":
        data = table.to_csv(index=False).encode()
    else:
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        data = buffer.getvalue()
    atomic_write_bytes(path, data)


def _shared(record: RunRecord) -> dict[str, Any]:
    """Return the columns that all runs of one method on one workload share."""
    spec = {key: value for key, value in record.spec.items() if key not in ("hyper", *REPETITION)}
    hyper = {f"hyper.{key}": value for key, value in record.spec.get("hyper", {}).items()}
    columns = {f"spec.{key}" if key in COLUMNS else key: value for key, value in spec.items()} | hyper
    return columns | {_PARTS: (chooses_hyper(record), workload_of(record), method_of(record))}


_PARTS = "(search, workload, method)"
"""Key of what the names of a method are made of; no column."""


def _name(shared: Sequence[dict[str, Any]], used: Sequence[int]) -> None:
    """Add the names of workload and method: those of a board, and for search runs, which none has, apart from it."""
    keys = [(search, key_of(workload)) for search, workload, _ in (part[_PARTS] for part in shared)]
    named: dict[tuple[bool, str], str] = {}
    for searching, suffix in ((False, ""), (True, ", search")):
        found = {key: part[_PARTS][1] for key, part in zip(keys, shared, strict=True) if key[0] == searching}
        named |= dict(zip(found, (title + suffix for title in titles(list(found.values()))), strict=True))
    together: dict[tuple[bool, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i in used:
        shared[i]["workload"] = named[keys[i]]
        together[keys[i]][key_of(shared[i][_PARTS][2])].append(i)
    for methods in together.values():
        names = labels([shared[indices[0]][_PARTS][2] for indices in methods.values()])
        for name, indices in zip(names, methods.values(), strict=True):
            for i in indices:
                shared[i]["method"] = name


def _listed(manifests: Sequence[SuiteManifest]) -> dict[str, dict[str, str]]:
    """Map run ids to the suites and to the tracks that list them."""
    suites, tracks = defaultdict[str, dict[str, None]](dict), defaultdict[str, dict[str, None]](dict)
    for manifest in manifests:
        for run in manifest.runs:
            suites[run][manifest.name] = None
        for track in sorted(manifest.tracks, key=lambda track: list(TRACKS).index(track.name)):
            for run in track.runs:
                tracks[run][track.name] = None
    return {
        name: {run: ", ".join(found) for run, found in one.items()}
        for name, one in (("suite", suites), ("track", tracks))
    }


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
