"""Slices through the loss: lines in one dimension, contours in two."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ..records.measurement import Measurement
from .style import COLORS, GREY, INK, new_figure, style, write_title

PARTS = {"train": "Training loss, nats", "test": "Test loss, nats"}
LEVELS = 15


def surface_figure(found: Measurement, title: str, runs: Sequence[str]) -> Figure:
    """Draw a measurement of ``surface`` or ``line``.

    Args:
        found: the measurement.
        title: text above the figure.
        runs: name of the run, or of the two at the ends of a line.
    """
    with style():
        figure = _contours(found) if found.settings.get("dimensions") == 2 else _curves(found, runs)
        write_title(figure, title)
    return figure


def _numbers(found: Measurement, name: str) -> np.ndarray:
    return np.array(found.series[name], dtype=np.float64)  # None, which was not finite, becomes NaN


def _curves(found: Measurement, runs: Sequence[str]) -> Figure:
    figure = new_figure(6, 3.6)
    axes = figure.add_subplot()
    for (name, label), color, dash in zip(PARTS.items(), COLORS[:2], ("-", "--"), strict=True):
        axes.plot(_numbers(found, "x"), _numbers(found, name), dash, color=color, label=label)
    axes.set(xlabel=f"{runs[0]} to {runs[1]}" if len(runs) > 1 else f"Coordinate ({found.settings['directions']})")
    axes.legend(frameon=False)
    return figure


def _contours(found: Measurement) -> Figure:
    points = int(found.settings["points"])
    x, y = (_numbers(found, name).reshape(points, points) for name in ("x", "y"))
    losses = {name: _numbers(found, name).reshape(points, points) for name in PARTS}
    shown = np.concatenate([loss[np.isfinite(loss) & (loss > 0)] for loss in losses.values()])
    levels = np.geomspace(shown.min(), shown.max(), LEVELS)
    figure = new_figure(8, 3.8)
    for axes, (name, label) in zip(figure.subplots(1, 2, sharex=True, sharey=True), PARTS.items(), strict=True):
        lines = axes.contour(x, y, losses[name], levels=levels, cmap="viridis", linewidths=0.9)
        axes.clabel(lines, levels[::3], fmt="%.2g", fontsize=6)
        axes.plot(0, 0, "+", color=INK)
        axes.set(xlabel=f"First coordinate ({found.settings['directions']})")
        axes.set_title(label, color=GREY, size=8)
        axes.grid(False)
    figure.axes[0].set(ylabel="Second coordinate")
    return figure
