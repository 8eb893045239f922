"""Slices through the loss that were measured -> what the page draws: curves, and surfaces to turn."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..records.measurement import SLICES, Measurement
from ..records.record import RunRecord
from ..tables.comparability import write


def slices(measurements: Iterable[Measurement], records: Iterable[RunRecord]) -> list[dict[str, Any]]:
    """Return every slice: whose it is, how it was laid, and its losses, x fastest; ``points`` a side of a surface."""
    names = {record.run_id: _name(record.spec) for record in records}
    return [
        {
            "title": names[one.run_id],
            "about": _laid(one, names),
            "points": one.settings["points"] if one.settings.get("dimensions") == 2 else 0,
            **{name: _short(one.series[name]) for name in ("x", "train", "test")},
        }
        for one in measurements
        if one.measure in SLICES and one.run_id in names
    ]


def _laid(one: Measurement, names: Mapping[str, str]) -> str:
    if one.measure == "surface":
        return f"{one.settings['directions']} directions"
    to = str(one.settings["to"])
    return f"on the line to {names.get(to, to[:12]) or 'its initial weights'}"


def _name(spec: dict[str, Any]) -> str:
    hyper = "".join(f" {name}={write(value)}" for name, value in spec["hyper"].items())
    return f"{spec['variant']}{hyper} on {spec['dataset']}, {spec['model']}, seed {spec['seed']}"


def _short(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else float(f"{value:.5g}") for value in values]
