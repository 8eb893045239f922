"""The probability that a run of one method is better than a run of another, for all pairs of methods."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from ...errors import ConfigError
from ..statistics.intervals import Floats, probability_of_improvement
from ..tables.rows import Row
from .style import GREY, INK, LIGHT, new_figure, style


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
        look: dict[str, Any] = {"ax": axes, "annot": True, "fmt": ".0f", "annot_kws": {"size": 7}, "linewidths": 0.5}
        look |= {"vmin": 0, "vmax": 100}
        sns.heatmap(wins, mask=~alike, cmap=[LIGHT], cbar=False, **look)
        sns.heatmap(
            wins,
            mask=alike,
            cmap="vlag_r",
            cbar_kws={"label": "Runs of the row that beat runs of the column, %", "pad": 0.02},
            xticklabels=[row.label for row in rows],
            yticklabels=[f"{row.label}  {row.group}" for row in rows],
            **look,
        )
        axes.grid(False)
        axes.tick_params(length=0, labelsize=8)
        axes.set_xticklabels(axes.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
        axes.set_title("best first, with the letters of the tie groups; grey: not told apart", color=GREY, size=8)
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontweight="bold")
    return figure
