"""Test error and gradient evaluations of the methods of a table."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from ...errors import ConfigError
from ..tables.rows import Row
from .style import COLORS, GREY, INK, clusters, label_points, lay_out, new_figure, style, write_title

_FAR = 4.0
"""How many times further from the best than all others a row is that does not widen the axis."""
_LEAST = 0.0005
"""The least difference that others are taken to have: they may be equal."""
_LEGEND = (
    "mean and 95 % t-interval over seeds, cut off at 0 and 100 %\n"
    "filled: not told apart from the best; cross: not compared"
)


def costs_differ(rows: Sequence[Row]) -> bool:
    """Tell whether some row cost at least a fifth more than another; else errors need no cost axis."""
    costs = [row.gradient_evaluations for row in rows if row.gradient_evaluations is not None]
    return bool(costs) and max(costs) >= 1.2 * min(costs)


def error_figure(rows: Sequence[Row], title: str) -> Figure:
    """Draw the test error of every row, best on top, with its 95 % t-interval, and beside it what it cost.

    The marks are those of :func:`cost_figure`; a row beyond the axis is drawn at its edge, with its error.

    Args:
        rows: rows of one table, best first.
        title: text above the figure.

    Raises:
        ConfigError: no row has a run that completed.
    """
    rows = _drawable(rows)
    with style():
        figure = new_figure(8.5, 1.5 + 0.21 * len(rows))
        errors, costs = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
        low, high, lost = _limits(rows)
        best = next((row.group for row in rows if row.group), "")
        for position, row in enumerate(rows):
            at, ends, beyond = 100 * row.error, _ends(row), 100 * row.error > high
            errors.errorbar(
                [high if beyond else at],
                [position],
                xerr=None if beyond else [[at - ends[0]], [ends[1] - at]],
                **_mark(row, best, ">" if beyond else None),
            )
            costs.plot([row.gradient_evaluations or 0.0], [position], "o", markersize=4, color=GREY)
        errors.set_xlim(low, high + (0.04 * (high - low) if lost else 0.0))
        errors.set_yticks(
            range(len(rows)), [f"{_point_label(row, 100 * row.error > high)}  {row.group}" for row in rows]
        )
        errors.set_ylim(len(rows) - 0.4, -0.6)
        errors.set_xlabel("Test error, %")
        costs.set_xlim(0, 1.1 * max(row.gradient_evaluations or 0.0 for row in rows))
        costs.set_xlabel("Gradient evaluations")
        costs.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        costs.xaxis.set_major_locator(MaxNLocator(nbins=3))
        errors.set_title(_LEGEND, color=GREY, size=8)
        write_title(figure, title)
    return figure


def cost_figure(rows: Sequence[Row], title: str) -> Figure:
    """Draw the test error of every row against its gradient evaluations, with 95 % t-intervals.

    Filled points do not differ significantly from the best row; crosses are rows without a group. Rows of about the
    same cost are drawn side by side, ordered by error. Rows with diverged runs would stretch the axis and hide all
    other differences, so those above all rows without divergence are marked at the upper edge, and so are a few that
    are far worse than all others.

    Args:
        rows: rows of one table, best first.
        title: text above the figure.

    Raises:
        ConfigError: no row has a run that completed.
    """
    rows = _drawable(rows)
    with style():
        figure = new_figure(8.5 if len(rows) <= 12 else 11, max(4.0, 1.6 + 0.19 * len(rows)))
        axes = figure.add_subplot()
        low, ceiling, lost = _limits(rows)
        axes.set_ylim(low, ceiling + (0.04 * (ceiling - low) if lost else 0.0))
        best = next((row.group for row in rows if row.group), "")
        lay_out(figure)
        for cluster in clusters([row.gradient_evaluations or 0.0 for row in rows]):
            _draw_cluster(axes, [rows[i] for i in cluster], ceiling, best)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.margins(x=0.08)
        axes.set_xlabel("Gradient evaluations (points of equal cost stand side by side)")
        axes.set_ylabel("Test error, %")
        axes.set_title(_LEGEND, color=GREY, size=8)
        write_title(figure, title)
    return figure


def _draw_cluster(axes: Axes, rows: Sequence[Row], ceiling: float, best: str) -> None:
    """Draw rows of about one cost side by side, and their labels in a column to the right."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    ordered = sorted(rows, key=lambda row: -row.error)
    step = min(5.0, 32.0 / len(rows)) / 72  # inches: side by side, and close to their true position
    right = max(row.gradient_evaluations or 0.0 for row in rows)
    texts, points, anchors = [], [], []
    for i, row in enumerate(ordered):
        x, y, (low, high) = row.gradient_evaluations or 0.0, 100 * row.error, _ends(row)
        moved = axes.transData + ScaledTranslation(step * (i - (len(rows) - 1) / 2), 0, figure.dpi_scale_trans)
        above = y > ceiling
        axes.errorbar(
            [x],
            [ceiling if above else y],
            None if above else [[y - low], [high - y]],
            transform=moved,
            **_mark(row, best, "^" if above else None),
        )
        axes.update_datalim([(x, ceiling if above else y)])
        texts.append(_point_label(row, above))
        points.append((x, ceiling if above else y))
        anchors.append(moved)
    edge = axes.transData + ScaledTranslation(step * (len(rows) - 1) / 2 + 12 / 72, 0, figure.dpi_scale_trans)
    label_points(axes, texts, points, anchors, edge, right, [INK] * len(texts))


def _drawable(rows: Sequence[Row]) -> list[Row]:
    found = [row for row in rows if row.gradient_evaluations is not None]
    if not found:
        raise ConfigError("there are no points to draw: no run of this workload completed")
    return found


def _limits(rows: Sequence[Row]) -> tuple[float, float, bool]:
    """Return the ends of the error axis, in percent, and whether the error of some row is beyond the upper one.

    Rows with diverged runs do not widen the axis, nor do a few that are far worse than all others: they would hide all
    other differences.
    """
    clean = _crowd([row for row in rows if not row.diverged] or rows)
    low, high = min(_ends(row)[0] for row in clean), max(_ends(row)[1] for row in clean)
    margin = max(0.06 * (high - low), 0.05)
    return max(low - margin, -margin), high + margin, any(100 * row.error > high + margin for row in rows)


def _crowd(rows: Sequence[Row]) -> list[Row]:
    """Leave out the worst rows, a quarter at most, that are :data:`_FAR` times as far from the best as the next one."""
    ordered = sorted(rows, key=lambda row: row.error)
    for few in range(len(ordered) // 4, 0, -1):
        best, last, first = ordered[0].error, ordered[-few - 1].error, ordered[-few].error
        if first - best > _FAR * max(last - best, _LEAST):
            return ordered[:-few]
    return ordered


def _mark(row: Row, best: str, beyond: str | None) -> dict[str, Any]:
    """Choose the mark of a row: filled if it does not differ from the best, a cross if it was not compared."""
    color = COLORS[0] if row.group else GREY
    return {
        "fmt": beyond or ("o" if row.group else "x"),
        "markersize": 5,
        "color": color,
        "markerfacecolor": color if set(row.group) & set(best) else "white",
        "elinewidth": 1,
    }


def _point_label(row: Row, above: bool) -> str:
    details = [f"{100 * row.error:.1f} %"] * above + [f"{row.diverged}/{row.n} diverged"] * bool(row.diverged)
    details += ["n = 1"] * (row.n == 1)
    return row.label + (f" [{', '.join(details)}]" if details else "")


def _ends(row: Row) -> tuple[float, float]:
    """Return the ends of the interval of the mean error, in percent, as they are drawn.

    With few seeds a t-interval reaches beyond [0, 100]; it is cut off there, and the legend says so.
    """
    low, high = (row.accuracy, row.accuracy) if row.low is None or row.high is None else (row.low, row.high)
    return max(0.0, 100 * (1 - high)), min(100.0, 100 * (1 - low))
