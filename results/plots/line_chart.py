"""Mean curves of several methods in one plot, or in a small plot each if they are many."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from ..statistics.intervals import Floats
from .style import COLORS, GREY, INK, LIGHT, clusters, label_points, lay_out, new_figure, style, write_title

TOGETHER = 6
"""Largest number of methods in one plot; more get a small plot each, with the others in grey behind."""

_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (9, 2)))


class Curve(NamedTuple):
    """The mean curve of a method: its x, its mean, and the ends low and high of its interval, (points,) each."""

    label: str
    x: Floats
    mean: Floats
    low: Floats
    high: Floats


def line_figure(found: Sequence[Curve], title: str, name: str, x_name: str, note: str) -> Figure:
    """Draw curves over each other, or in small plots if there are more than :data:`TOGETHER`.

    The y-axis is logarithmic, since methods differ most at its low end.

    Args:
        found: the curves, best at the end first.
        title: text above the figure.
        name: label of the y-axis.
        x_name: label of the x-axis.
        note: text that explains line and band.
    """
    with style():
        figure = (_together if len(found) <= TOGETHER else _apart)(found, name, x_name, note)
        write_title(figure, title)
    return figure


def _together(found: Sequence[Curve], name: str, x_name: str, note: str) -> Figure:
    figure = new_figure(8, 4.2)
    axes = figure.add_subplot()
    for i, curve in enumerate(found):
        _draw_curve(axes, curve, COLORS[i], _DASHES[i])
    _name_axes(axes, found, name, x_name)
    lay_out(figure)
    for cluster in clusters([float(curve.x[-1]) for curve in found]):
        ends = [(float(found[i].x[-1]), float(found[i].mean[-1])) for i in cluster]
        label_points(
            axes,
            [found[i].label for i in cluster],
            ends,
            [axes.transData] * len(cluster),
            axes.transData + ScaledTranslation(18 / 72, 0, figure.dpi_scale_trans),
            max(x for x, _ in ends),
            [COLORS[i] for i in cluster],
        )
    axes.set_title(note, color=GREY, size=8)
    return figure


def _apart(found: Sequence[Curve], name: str, x_name: str, note: str) -> Figure:
    columns = 4
    lines = -(-len(found) // columns)
    width, height = 10, 0.9 + 1.9 * lines
    figure = new_figure(width, height, layout=False)  # dozens of axes of one size need none
    figure.subplots_adjust(0.75 / width, 0.75 / height, 1 - 0.1 / width, 1 - 0.6 / height, hspace=0.22, wspace=0.08)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    behind = [
        np.concatenate([np.append(part, np.nan) for part in parts]) for parts in zip(*map(_path, found), strict=True)
    ]
    _name_axes(grid.flat[0], found, "", "", ticks=4)  # all axes share it
    low, high = (end(end(curve.x) for curve in found) for end in (min, max))
    margin = 0.05 * (high - low or 1.0)
    grid.flat[0].set_xlim(low - margin, high + margin)
    points = any(len(curve.x) == 1 for curve in found)
    for axes, curve in zip(grid.flat, found, strict=False):
        # One line with gaps: hundreds would take a minute.
        axes.plot(*behind, color=LIGHT, linewidth=0.6, marker="." if points else "", markersize=3, zorder=1)
        _draw_curve(axes, curve, COLORS[0], "-")
        axes.set_title(f"{curve.label}: {curve.mean[-1]:.3g}", size=8, color=INK)
    for axes in grid.flat[len(found) :]:
        axes.remove()
    figure.supxlabel(
        f"{x_name}\n({note}, the others in grey; best at the end first)", size=9, color=INK, y=0.1 / height
    )
    figure.supylabel(name, size=9, color=INK, x=0.1 / width)
    return figure


def _path(curve: Curve) -> tuple[Floats, Floats]:
    return curve.x, curve.mean


def _draw_curve(axes: Axes, curve: Curve, color: str, dashes: object) -> None:
    if len(curve.x) == 1:  # a run of one epoch: a line would have no length
        ends = [curve.mean - curve.low, curve.high - curve.mean]
        axes.errorbar(curve.x, curve.mean, ends, color=color, marker="o", markersize=4, zorder=3)
        return
    axes.plot(curve.x, curve.mean, color=color, linestyle=dashes, zorder=3)
    axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.18, linewidth=0, zorder=2)


def _name_axes(axes: Axes, found: Sequence[Curve], name: str, x_name: str, ticks: int = 6) -> None:
    # The first fifth of a training is far above the differences between methods: it may be cut off.
    means = np.concatenate([curve.mean[len(curve.mean) // 5 :] for curve in found])
    positive = means[means > 0]
    if len(positive):  # a logarithmic axis cannot show an error of 0
        low, high = 0.85 * positive.min(), 1.1 * positive.max()
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        steps = (1, 2, 5) if high > (10 if ticks > 4 else 3) * low else (1, 1.5, 2, 3, 4, 5, 6, 8)
        axes.yaxis.set_major_locator(LogLocator(subs=steps))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set(xlabel=x_name, ylabel=name)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
