"""Measurements as columns of the tidy table: one column a measure, its settings and a value."""

import logging
from collections.abc import Iterable

import pandas as pd

from ..records.measurement import Measurement, Measurements
from ..records.store import Store

log = logging.getLogger("sambench")


def good_measurements(store: Store) -> list[Measurement]:
    """Read the measurements of a store; files that are none are left out with a warning each."""
    found = []
    for one in Measurements(store).scan():
        if isinstance(one, Measurement):
            found.append(one)
        else:
            log.warning("left out: %s: %s", one.path, one.problem)
    return found


def column_of(measurement: Measurement, value: str) -> str:
    """Return the name of the column of a value: ``lambda_max.lambda_max``, ``pgd[epsilon=2.0].accuracy``, and of
    weights on the way ``fit@10.gap``."""
    return f"{measurement.at}.{value}"


def measured_columns(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """Return the values of measurements, one row a run with its ``run_id``, columns in alphabetical order, floats."""
    values: dict[str, dict[str, float | None]] = {}
    for one in measurements:
        row = values.setdefault(one.run_id, {})
        row |= {column_of(one, key): value for key, value in one.values.items()}
    columns = sorted({column for row in values.values() for column in row})
    table = pd.DataFrame(
        {column: [values[run_id].get(column) for run_id in sorted(values)] for column in columns}, dtype="float64"
    )
    table.insert(0, "run_id", pd.Series(sorted(values), dtype="string"))
    return table


def with_measurements(table: pd.DataFrame, measurements: Iterable[Measurement]) -> pd.DataFrame:
    """Add the columns of measurements to a table with one row a run; runs without a value have NaN."""
    measured = measured_columns(measurements)
    return table if measured.empty else table.merge(measured, on="run_id", how="left", validate="one_to_one")
