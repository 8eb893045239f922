"""The curves of runs while they are made, one a run, in one figure that is drawn anew as they grow."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...errors import StateError, unknown
from ..records.manifest import manifest_files, read_manifest
from ..records.record import CurvePoint
from ..records.store import Store
from .line_chart import Curve, line_figure

MOST_CURVES = 48
"""Curves of one figure; of more the first, those that go on before those that ended."""


class LiveCurve(NamedTuple):
    """The curve of one run: its name, whether it goes on, and its points so far."""

    label: str
    goes_on: bool
    points: Sequence[CurvePoint]


def watched_runs(store: Store, suites: Sequence[str]) -> list[str]:
    """Return the ids of the runs of suites; where none is named, of all that have a run under way, and of runs of none.

    Raises:
        ConfigError: a suite is not one of this store.
        StateError: none is named and no run is under way, or a manifest is damaged.
    """
    manifests = {path.stem: path for path in manifest_files(store.root)}
    if wrong := [name for name in suites if name not in manifests]:
        raise unknown("suite of these results", wrong[0], manifests)
    begun = set(os.listdir(folder)) if (folder := store.root / "checkpoints").is_dir() else set[str]()
    of_suites = [read_manifest(manifests[name]).runs for name in suites or manifests]
    if suites:
        return [*dict.fromkeys(run for runs in of_suites for run in runs)]
    if not begun:
        raise StateError(f"no run is under way in {store.root}; name a suite to draw what has ended of it")
    return [*dict.fromkeys([*(run for runs in of_suites if begun & {*runs} for run in runs), *sorted(begun)])]


def live_figure(found: Sequence[LiveCurve], title: str) -> Figure:
    """Draw one curve a run: validation errors where every run has some, else training losses.

    Args:
        found: the curves; those without a point are left out.
        title: text above the figure.
    """
    found = sorted((curve for curve in found if curve.points), key=lambda curve: not curve.goes_on)
    validated = all(any(p.validation_accuracy is not None for p in curve.points) for curve in found)
    shown = []
    for label, goes_on, points in found[:MOST_CURVES]:
        pairs = [(p.epoch, value) for p in points if (value := _value(p, validated)) is not None]
        epochs, values = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        label = f"{label} ({points[-1].epoch} epochs so far)" if goes_on else label
        shown += [Curve(label, epochs, values, values, values)] if pairs else []
    shown.sort(key=lambda curve: (curve.mean[-1], curve.label))
    name = "Validation error, %" if validated else "Training loss, nats"
    more = f"; {len(found) - len(shown)} more runs are not shown" if len(found) > len(shown) else ""
    return line_figure(shown, title, name, "Epoch", f"one line a run{more}")


def _value(point: CurvePoint, validated: bool) -> float | None:
    if not validated:
        return point.train_loss
    return None if point.validation_accuracy is None else 100 * (1 - point.validation_accuracy)
