"""The look of figures and their files, without changes to matplotlib's global state.

A figure has a canvas of its own; the style is set only while one is drawn or written; the same figure gives the same
bytes.
"""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path as Path2D
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, Transform, blended_transform_factory
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from ...atomic import atomic_write_bytes, make_folder
from ...figure_style import COLORBLIND, white_grid
from ..statistics.intervals import Floats

INK, GREY, LIGHT = "#333333", "#767676", "#cfcfcf"
COLORS: list[str] = [COLORBLIND[i] for i in (0, 1, 2, 3, 4, 9)]
"""Six colours that colour-blind readers can distinguish, together with line styles."""

_STYLE: dict[str, Any] = {
    "axes.edgecolor": GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # where it would be: to look for it takes a third of a drawing
    "figure.dpi": 150,
    "font.family": "DejaVu Sans",  # it comes with matplotlib: every machine has it
    "grid.color": "#e6e6e6",
    "savefig.dpi": 150,
    "svg.fonttype": "path",
    "text.parse_math": False,  # names come from anybody, and a dollar in one is a dollar
    "svg.hashsalt": "sambench",  # ids in the file are hashes of their content and this, instead of random
}


@contextmanager
def style() -> Iterator[None]:
    """Set the style of all figures within a ``with`` block."""
    settings: dict[Any, Any] = {**white_grid(0.8), **_STYLE}
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph ")  # a name may have letters that the font lacks,
        warnings.filterwarnings("ignore", message="constrained_layout not applied")  # or be too long for a small figure
        yield


def new_figure(width: float, height: float, layout: bool = True) -> Figure:
    """Return an empty figure of this size in inches, for the Agg backend, without a window.

    Args:
        width: in inches.
        height: in inches.
        layout: whether matplotlib finds the margins, which takes longer than to draw.
    """
    figure = Figure(figsize=(width, height))
    if layout:
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08)
    FigureCanvasAgg(figure)
    return figure


def write_title(figure: Figure, title: str) -> None:
    """Write a title above a figure, in as many lines as its width needs where matplotlib finds the margins."""
    text = figure.suptitle(title, x=0.01, ha="left", color=INK, fontweight="bold")
    most = len(title)
    while figure.get_layout_engine() and most > 10 and text.get_window_extent().x1 > 0.99 * figure.bbox.x1:
        most = most * 9 // 10
        text.set_text(textwrap.fill(title, most))


def lay_out(figure: Figure) -> None:
    """Find the margins, without a drawing."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)


def save(figure: Figure, stem: str | Path) -> tuple[Path, Path]:
    """Write a figure to ``stem.png`` and ``stem.svg`` and return the two paths.

    Raises:
        StateError: the folder cannot be written.
    """
    stem = Path(stem)
    make_folder(stem.parent)
    paths = (stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg"))
    png, svg = io.BytesIO(), io.BytesIO()
    with style():
        lay_out(figure)
        figure.set_layout_engine("none")
        # not `savefig`, which draws twice whenever a figure had a layout
        canvas = FigureCanvasAgg(figure)
        canvas.print_png(
            png, metadata={"Software": None}, pil_kwargs={"compress_level": 1}
        )  # larger, in a third of the time
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    for path, buffer in zip(paths, (png, svg), strict=True):
        atomic_write_bytes(path, buffer.getvalue())
    return paths


def draw_cells(axes: Axes, values: Floats, colors: Any, texts: Sequence[Sequence[str]], size: float) -> None:
    """Draw a matrix as cells with texts in them, the first row on top; cells without a value stay empty.

    Args:
        axes: where to.
        values: (rows, columns), NaN or masked where there is none.
        colors: color map and norm of the cells, as of ``pcolormesh``.
        texts: one a cell.
        size: of the texts, in points.
    """
    mesh = axes.pcolormesh(values, edgecolors="white", linewidth=0.5, **colors)
    hidden = np.ma.getmaskarray(np.ma.masked_invalid(values))
    bright = mesh.to_rgba(values)[..., :3] @ (0.299, 0.587, 0.114) > 0.55
    places = np.argwhere(~hidden)
    words, kinds = np.unique([texts[i][j] for i, j in places], return_inverse=True)
    outlines = [_centred(word, size) for word in words]
    cells = PathCollection(
        [outlines[kind] for kind in kinds],  # hundreds of texts would take a second
        offsets=places[:, ::-1] + 0.5,
        offset_transform=axes.transData,
        facecolors=[INK if light else "white" for light in bright[~hidden]],
        linewidths=0,
    )
    figure = axes.get_figure(root=True)
    assert figure is not None
    cells.set_transform(Affine2D().scale(1 / 72) + figure.dpi_scale_trans)
    axes.add_collection(cells, autolim=False)
    cells.set_in_layout(False)
    axes.set(xlim=(0, hidden.shape[1]), ylim=(hidden.shape[0], 0))
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


@cache
def _centred(word: str, size: float) -> Path2D:
    """Return a text as an outline around the origin, in points."""
    outline = TextPath((0, 0), word, size=size)
    return Path2D(outline.vertices - outline.get_extents().get_points().mean(axis=0), outline.codes)


def spread(wanted: ArrayLike, gap: float, low: float, high: float) -> Floats:
    """Move positions apart to at least ``gap``, each as little as possible, inside [low, high].

    It minimizes the sum of squared moves, by isotonic regression of the positions minus the gaps below them.

    Args:
        wanted: (n,) positions, in any order.
        gap: smallest distance of two positions; reduced if n positions would not fit.
        low: lower limit of the positions.
        high: upper limit of the positions.

    Returns:
        (n,) positions in the order given.

    Example:
        >>> spread([0.5, 0.5, 0.9], 0.1, 0, 1).round(2).tolist()
        [0.45, 0.55, 0.9]
    """
    positions = np.asarray(wanted, dtype=np.float64)
    if len(positions) < 2:
        return positions.clip(low, high)
    order = np.argsort(positions, kind="stable")
    room = min(gap, (high - low) / (len(positions) - 1)) * np.arange(len(positions))
    placed = isotonic_regression(positions[order] - room).x.clip(low, high - room[-1]) + room
    result = np.empty_like(placed)
    result[order] = placed
    return result


def clusters(values: Sequence[float], share: float = 0.15) -> list[list[int]]:
    """Group the indices of positions that are so close on an axis that their labels share a column, left to right.

    Example:
        >>> clusters([200, 100, 205])
        [[1], [0, 2]]
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    reach = share * (max(values, default=0) - min(values, default=0))
    result: list[list[int]] = []
    for i in order:
        if result and values[i] - values[result[-1][-1]] <= reach:
            result[-1].append(i)
        else:
            result.append([i])
    return result


def label_points(
    axes: Axes,
    texts: Sequence[str],
    points: Sequence[tuple[float, float]],
    anchors: Sequence[Transform],
    column: Transform,
    x: float,
    colors: Sequence[str],
) -> None:
    """Write one label a point in a column beside them, spread so that none covers another, with leader lines.

    Args:
        axes: their y-axis must have its final limits, and their figure its layout (:func:`lay_out`).
        texts: text of each label.
        points: end of each leader line, in the coordinates of its anchor.
        anchors: for each point the transform from its coordinates to the display.
        column: transform from the coordinates of ``x`` to the display.
        x: position of the column of labels, in the coordinates of ``column``.
        colors: color of each text.
    """
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    height = axes.get_window_extent().height / figure.dpi * 72
    inside = axes.transAxes.inverted()
    fractions = [inside.transform(a.transform(point))[1] for a, point in zip(anchors, points, strict=True)]
    heights = spread(fractions, 1.25 * mpl.rcParams["font.size"] / height, 0.03, 0.97)
    for text, point, anchor, y, color in zip(texts, points, anchors, heights, colors, strict=True):
        axes.annotate(
            text,
            xy=point,
            xycoords=anchor,
            xytext=(x, float(y)),
            textcoords=blended_transform_factory(column, axes.transAxes),
            arrowprops={
                "arrowstyle": "-",
                "color": LIGHT,
                "linewidth": 0.7,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),  # from the label's left edge: from its middle, a line would cross its neighbours
            },
            color=color,
            va="center",
            ha="left",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
            annotation_clip=False,
        )
