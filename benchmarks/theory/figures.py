"""The style of theory figures, and their files: the same data gives the same bytes."""

import io
from collections.abc import Iterable
from contextlib import AbstractContextManager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ...atomic import atomic_write_bytes
from ...figure_style import COLORBLIND, white_grid

Frame = Any
"""A pandas DataFrame: with pandas' own annotations every column is a union that type checkers cannot resolve."""

STYLE: dict[Any, Any] = {
    **white_grid(1.0),
    "svg.hashsalt": "sambench",
    "svg.fonttype": "none",
    "axes.titlesize": 10,
    "axes.grid.which": "major",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.5,
    "path.simplify": True,
}
GUARANTEE = {"color": "0.25", "linestyle": (0, (4, 2)), "linewidth": 1.1}
"""Line style of a theorem's bound."""


def styled() -> AbstractContextManager[None]:
    """Return a context in which figures are drawn and saved in our style; it restores the settings afterwards."""
    return mpl.rc_context(STYLE)


def canvas(columns: int = 1, rows: int = 1, width: float = 3.6, height: float = 2.9, **share: Any) -> Figure:
    """Return a figure with a grid of axes (``figure.axes``, row by row), without a display."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots(rows, columns, squeeze=False, **share)
    return figure


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem.png`` and ``stem.svg``, free of dates and versions.

    Returns:
        The two paths.

    Raises:
        StateError: the folder cannot be written.
    """
    for axes in figure.axes:  # names come from anybody, and a dollar in one is a dollar; tick labels are formulas
        legend = axes.get_legend()
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *(legend.get_texts() if legend else ())):
            text.set_parse_math(False)
    paths = [stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")]
    for path, metadata in zip(paths, ({"Software": None}, {"Date": None, "Creator": None}), strict=True):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=path.suffix[1:], dpi=110, metadata=metadata)
        atomic_write_bytes(path, buffer.getvalue())
    return paths


def colors(values: Iterable[object], scale: str = "") -> dict[object, tuple[float, float, float]]:
    """Assign a color to each distinct value, in the order of appearance.

    Args:
        values: the values.
        scale: name of a color map of matplotlib, for values that have an order.
    """
    distinct = list(dict.fromkeys(values))
    between = np.linspace(0, 1, len(distinct) + 2)[1:-1]  # the ends of a scale are hard to see
    found = mpl.colormaps[scale](between)[:, :3] if scale else islice(cycle(COLORBLIND), len(distinct))
    return dict(zip(distinct, map(to_rgb, found), strict=True))


def draw_trials(
    axes: Axes, data: Frame, *, x: str = "step", y: str = "relative", label: str = "", **style: Any
) -> None:
    """Draw the mean over trials of one line, and the range of the trials as a band."""
    spread = data.groupby(x)[y].agg(["mean", "min", "max"])
    spread = spread[spread.index > 0] if axes.get_xscale() == "log" else spread
    (line,) = axes.plot(spread.index, spread["mean"], label=label, **style)
    if not np.allclose(spread["min"], spread["max"], rtol=1e-3):
        axes.fill_between(spread.index, spread["min"], spread["max"], color=line.get_color(), alpha=0.18, linewidth=0)
