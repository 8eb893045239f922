"""Published numbers beside what was run here, cell by cell: where a table has the method, the network and the data."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ...markdown import escape, table
from ..tables.boards import Section
from ..tables.comparability import write
from ..tables.published import on_workloads
from ..tables.rows import Row

COLUMNS = ("Method", "Published, %", "Here, %", "Here less published", "Less SGD, published", "Less SGD, here")


def versus_published(section: Section, published: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write a table for each source that has a number of a row's method; its other numbers wait for their runs.

    Args:
        section: the table of the runs.
        published: rows as ``sambench.variants.published_results`` returns them.
    """
    workload = section.workload
    numbers = sorted(on_workloads(published, [workload.shared]), key=lambda one: (one["source"], one["protocol"]))
    parts = []
    for (source, said), group in groupby(numbers, key=lambda one: (one["source"], one["protocol"])):
        of_source = list(group)
        fitting = [(one, _fitting(one, workload.rows, workload.shared)) for one in of_source]
        if any(rows for _, rows in fitting):
            sgd = next((one["accuracy"] for one in of_source if (one["variant"], one["setting"]) == ("sgd", {})), None)
            cells = [_cells(one, row, sgd) for one, rows in fitting for row in rows or [None]]
            parts += [f"{escape(source)}; its protocol: {escape(said)}.", table(COLUMNS, cells, COLUMNS[:1])]
    if not parts:
        return []
    return [
        "**Versus published**: test accuracies of others beside those of the same method, network and data here; a "
        "dash waits for its runs. Protocols are not the same: compare differences from SGD, and rank nothing by this.",
        *parts,
    ]


def _fitting(number: Mapping[str, Any], rows: Sequence[Row], shared: Mapping[str, Any]) -> list[Row]:
    """Return the rows of the method that a number is of: its variant, or one that is the same, at its setting."""
    return [
        row
        for row in rows
        if any(
            row.variant == variant
            and all({**shared, **row.spec, **row.spec["hyper"]}.get(key) == value for key, value in setting.items())
            for variant, setting in number["same"]
        )
    ]


def _cells(number: Mapping[str, Any], row: Row | None, sgd: float | None) -> list[str]:
    setting = " ".join(f"{key}={write(value)}" for key, value in number["setting"].items())
    name = f"{number['variant']} ({setting})" if setting else number["variant"]
    apart = "–" if sgd is None or number["variant"] == "sgd" else _signed(number["accuracy"] - sgd)
    if row is None:
        return [name, number["printed"], "–", "–", apart, "–"]
    here, half = 100 * row.accuracy, "" if row.low is None else f" ± {100 * (row.accuracy - row.low):.2f}"
    against = row.against.get("sgd")
    return [
        name if row.label == name else f"{name}, here {row.label}",
        number["printed"],
        f"{here:.2f}{half} (n = {row.n})",
        _signed(here - number["accuracy"]),
        apart,
        "–" if against is None else _signed(100 * against.estimate),
    ]


def _signed(points: float) -> str:
    return f"{points + 0.0:+.2f}".replace("-", "−")
