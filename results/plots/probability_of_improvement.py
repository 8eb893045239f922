"""The probability that a run of one method is better than a run of another, for all pairs of methods."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ...errors import ConfigError
from ..statistics.intervals import Floats, probability_of_improvement
from ..tables.rows import Row
from .style import GREY, LIGHT, draw_cells, new_figure, style, write_title


def win_matrix(rows: Sequence[Row]) -> Floats:
    """Estimate for all pairs the probability that a run of the first is better than a run of the second.

    Args:
        rows: the k rows of one table.

    Returns:
        (k, k) in [0, 1]; entries (i, j) and (j, i) add to one, the diagonal is NaN.
    """
    k = len(rows)
    result = np.full((k, k), np.nan)
    for i in range(k):
        for j in range(k):
            if i != j:
                result[i, j] = probability_of_improvement(rows[i].accuracies, rows[j].accuracies)
    return result


def win_figure(rows: Sequence[Row], title: str) -> Figure:
    """Draw the win matrix, best method first; pairs that share a letter, and so are not told apart, are grey.

    Args:
        rows: rows of one table, best first; those without a group are left out.
        title: text above the figure.

    Raises:
        ConfigError: fewer than two rows can be compared.
    """
    rows = [row for row in rows if row.group]
    if len(rows) < 2:
        raise ConfigError("a win matrix needs two methods with at least three runs each")
    wins = 100 * win_matrix(rows)
    alike = np.array([[bool(set(a.group) & set(b.group)) for b in rows] for a in rows])
    side = 0.42 * len(rows)
    with style():
        figure = new_figure(max(5.5, 3.0 + side), max(4.2, 2.2 + 0.8 * side))
        axes = figure.add_subplot()
        texts = [[f"{win:.0f}" for win in line] for line in wins]
        for hidden, cmap in ((~alike, ListedColormap([LIGHT])), (alike, "RdBu")):
            colors = {"cmap": cmap, "vmin": 0, "vmax": 100}
            draw_cells(axes, np.ma.masked_where(hidden | np.isnan(wins), wins), colors, texts, 7)
        bar = figure.colorbar(axes.collections[2], label="Runs of the row that beat runs of the column, %", pad=0.02)
        bar.outline.set_visible(False)
        middles = np.arange(len(rows)) + 0.5
        axes.set_xticks(middles, [row.label for row in rows], rotation=45, ha="right", rotation_mode="anchor", size=8)
        axes.set_yticks(middles, [f"{row.label}  {row.group}" for row in rows], size=8)
        axes.set_title("best first, with the letters of the tie groups; grey: not told apart", color=GREY, size=8)
        write_title(figure, title)
    return figure
