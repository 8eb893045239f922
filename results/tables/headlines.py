"""The first number of each measure of the weights of each run, for the columns of boards, kept as an index."""

from typing import Any

import pyarrow as pa

from ..records.measurement import SLICES, Measurement, Measurements
from ..records.store import Damaged, Store
from .kept_rows import KeptRows, state_of

Headline = tuple[str, float | None]
"""Label of the measure, of weights on the way ``twin@10``, and the value; no label for what is a picture."""


def scan_headlines(store: Store) -> tuple[dict[str, dict[str, float | None]], list[Damaged]]:
    """Read the measurements of a store; a file that is as it was is not read again.

    Returns:
        Run id -> label of the measure -> value, None for one that is no number; and the files that are damaged.
    """
    measurements, index = Measurements(store), headlines_of(store)
    states = _states(measurements)
    kept = index.unchanged(states)
    rows = _by_file(kept)
    new, damaged = list[tuple[Any, ...]](), list[Damaged]()
    for key in states.keys() - rows.keys():
        one = measurements.look(*key.split("/"))
        if isinstance(one, Damaged):
            damaged.append(one)
            continue
        rows[key] = headline(one)
        if states[key]:
            new.append((key, states[key], *rows[key]))
    index.keep(kept, new, len(states))
    found = dict[str, dict[str, float | None]]()
    for key, (label, value) in sorted(rows.items()):
        if label and (of_run := found.setdefault(key.partition("/")[0], {})).get(label) is None:
            of_run[label] = value
    return found, damaged


def headline(one: Measurement) -> Headline:
    """Return what boards show of a measurement."""
    return ("", None) if one.measure in SLICES else (one.at, next(iter(one.values.values()), None))


def headlines_of(store: Store) -> KeptRows:
    """Return the index of the measurements of a store."""
    return KeptRows(Measurements(store).root, [("label", pa.string()), ("value", pa.float64())])


def kept_headlines(store: Store) -> dict[str, Headline]:
    """Return what the index says of the files that are as they were: ``<run id>/<name of the file>`` -> headline."""
    return _by_file(headlines_of(store).unchanged(_states(Measurements(store))))


def _by_file(index: pa.Table) -> dict[str, Headline]:
    keys, _, labels, values = (column.to_pylist() for column in index.columns)
    return dict(zip(keys, zip(labels, values, strict=True), strict=True))


def _states(measurements: Measurements) -> dict[str, str]:
    keys = (f"{run_id}/{name}" for run_id in measurements.run_ids() for name in measurements.names(run_id))
    return {key: state_of(f"{measurements.root}/{key}") for key in keys}
