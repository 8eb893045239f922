"""What was measured of the trained networks of a table: beside the error, and how far it orders the methods as that."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache, partial

import numpy as np

from ...markdown import code, table
from ..statistics.intervals import Interval, t_interval
from ..statistics.pairs import LEAST_RUNS
from ..statistics.rank_correlation import (
    Groups,
    granulated_tau,
    kendall_tau,
    one_setting_apart,
    rank_correlations,
)
from ..tables.boards import Section
from ..tables.comparability import write
from ..tables.rows import Row

WIDTH = 4
"""Measures beside each other in a table."""

LEAST_METHODS = 3
"""Number of methods below which there is nothing to rank."""

_RANKS = ("Measure", "Tau", "Tau, one setting apart", "Methods")


def measured(section: Section) -> list[str]:
    """Write the measures of a table's networks, beside the error of the same runs; nothing where none was measured.

    A measure that fewer than two rows have is left out.

    Args:
        section: the table, with what was measured of its runs.
    """
    rows = measured_rows(section)
    if not (labels := list(rows)):
        return []
    parts = [
        "**Measured of the trained networks** (`docs/measures.md`): mean ± half the 95 % t-interval over the runs that "
        "were measured, beside the error of the same runs."
    ]
    for first in range(0, len(labels), WIDTH):
        shown = labels[first : first + WIDTH]
        texts = [_cells(section, row, shown) for row in section.workload.rows if any(row in rows[one] for one in shown)]
        parts.append(table(("Variant", "Error, %", *map(code, shown)), texts, ("Variant",)))
    settings = {row.label: _settings(row) for row in section.workload.rows}
    apart = cache(lambda names: one_setting_apart([settings[name] for name in names]))
    ranked = [label for label in labels if len(rows[label]) >= LEAST_METHODS]
    found = dict[str, list[str]]()
    for alike in _of_the_same_runs(section, {label: rows[label] for label in ranked}):
        of = rows[alike[0]]
        found |= _ranks(section, alike, of, apart(tuple(row.label for row in of)))
    if ranks := [found[label] for label in ranked]:
        parts += [
            "Kendall's tau of a measure with the error, over the means of the methods: 1 where more of it always goes "
            "with more error, −1 with less; in brackets the 95 % bootstrap interval over runs, for these methods, "
            "which leans to 0, since runs that are drawn again are noisier. *One setting apart*: within methods that "
            "differ in one setting alone, then averaged, so that what else differs explains nothing.",
            table(_RANKS, ranks, ("Measure",)),
        ]
    return parts


def measured_rows(section: Section) -> dict[str, list[Row]]:
    """Return the rows that have a measure, for each that two rows have or more."""
    labels = sorted({label for values in section.measured.values() for label in values}, key=_along)
    rows = {label: [row for row in section.workload.rows if values_of(section, row, label)] for label in labels}
    return {label: found for label, found in rows.items() if len(found) > 1}


def _along(label: str) -> tuple[str, float]:
    """Return what sorts measures by name, and those of one name by the epochs, the end last."""
    name, _, epochs = label.rpartition("@")
    return (name, int(epochs)) if name and epochs.isdigit() else (label, np.inf)


def values_of(section: Section, row: Row, label: str) -> dict[str, float]:
    """Return the values of a measure, by run."""
    values = {run: section.measured.get(run, {}).get(label) for run in row.runs}
    return {run: value for run, value in values.items() if value is not None}


def errors_of(row: Row, runs: Collection[str]) -> list[float]:
    """Return the errors of those runs of a row."""
    return [1 - accuracy for run, accuracy in zip(row.runs, row.accuracies, strict=True) if run in runs]


def _cells(section: Section, row: Row, labels: Sequence[str]) -> list[str]:
    found = [values_of(section, row, label) for label in labels]
    runs = {run for values in found for run in values}
    errors = [100 * error for error in errors_of(row, sorted(runs))]
    return [row.label, _mean(errors), *(_mean(list(values.values())) for values in found)]


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "–"
    mean = float(np.mean(values))
    if len(values) < LEAST_RUNS:
        return f"{mean:.3g} (n = {len(values)})"
    return f"{mean:.3g} ± {mean - t_interval(values).low:.2g}"


def _of_the_same_runs(section: Section, rows: Mapping[str, Sequence[Row]]) -> list[list[str]]:
    """Put measures of the very same runs together: what their runs are resampled to is the same."""
    found = dict[tuple[str, ...], list[str]]()
    for label, of in rows.items():
        found.setdefault(tuple(run for row in of for run in values_of(section, row, label)), []).append(label)
    return list(found.values())


def _ranks(section: Section, labels: Sequence[str], rows: Sequence[Row], groups: Groups) -> dict[str, list[str]]:
    values = [[values_of(section, row, label) for row in rows] for label in labels]
    samples = [[list(of.values()) for of in one] for one in values]
    errors = [errors_of(row, list(of)) for row, of in zip(rows, values[0], strict=True)]
    statistics = [kendall_tau, partial(granulated_tau, groups=groups)][: 1 + bool(groups)]
    found = rank_correlations(samples, errors, np.random.default_rng(0), statistics)
    return {
        label: [code(label), *map(_interval, [*taus, None][:2]), str(len(rows))]
        for label, taus in zip(labels, found, strict=True)
    }


def _settings(row: Row) -> dict[str, str]:
    hyper = {f"hyper.{key}": value for key, value in row.spec.get("hyper", {}).items()}
    found = {**{key: value for key, value in row.spec.items() if key != "hyper"}, **hyper}
    return {key: write(value) for key, value in found.items()}


def _interval(found: Interval | None) -> str:
    if found is None:
        return "–"
    return "{:+.2f} [{:+.2f}, {:+.2f}]".format(*found).replace("-", "−")
