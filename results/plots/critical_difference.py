"""The critical-difference diagram: mean ranks over workloads, with bars over methods without significant difference."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ..statistics.aggregate import critical_difference
from .style import GREY, INK, new_figure, style, write_title


def rank_figure(scores: ArrayLike, labels: Sequence[str], title: str) -> Figure:
    """Draw the mean ranks of methods over at least six workloads, best on the left.

    Args:
        scores: (workloads, methods) mean accuracies or similar, higher is better.
        labels: names of the methods, in the order of the columns.
        title: text above the figure.

    Raises:
        ConfigError: fewer than six workloads, with which no difference can be significant.
    """
    found = critical_difference(scores)
    order = np.argsort(found.ranks, kind="stable")
    letters = sorted({letter for text in found.letters for letter in text})
    groups = [[found.ranks[i] for i in order if letter in found.letters[i]] for letter in letters]
    bars = [(min(group), max(group)) for group in groups if len(group) > 1]
    k, half = len(order), (len(order) + 1) // 2
    with style():
        figure = new_figure(8, 1.3 + 0.26 * half + 0.12 * len(bars))
        axes = figure.add_subplot()
        top = 0.6 * len(bars) + 0.6
        axes.plot([1, k], [0, 0], color=INK, linewidth=1)
        for rank in range(1, k + 1):
            axes.plot([rank, rank], [0, -0.25], color=INK, linewidth=1)
            axes.text(rank, -0.4, str(rank), ha="center", va="bottom", size=8, color=INK)
        for i, (low, high) in enumerate(bars):
            axes.plot([low - 0.04, high + 0.04], [0.5 + 0.6 * i] * 2, color=INK, linewidth=3, solid_capstyle="butt")
        for position, i in enumerate(order):
            left = position < half
            depth = top + (position if left else k - 1 - position)
            edge = 1 - 0.05 * k if left else k + 0.05 * k
            rank = float(found.ranks[i])
            axes.plot([rank, rank, edge], [0, depth, depth], color=GREY, linewidth=0.8)
            text = f"{labels[i]}  {rank:.2f}" if left else f"{rank:.2f}  {labels[i]}"
            axes.text(
                edge, depth, f"{text} " if left else f" {text}", ha="right" if left else "left", va="center", size=8
            )
        axes.set_ylim(top + half, -1.2)
        axes.set_axis_off()
        note = f"mean rank over {len(np.asarray(scores))} workloads; a bar joins methods that are not told apart"
        axes.set_title(f"{note} (Wilcoxon, Holm, 5 %)", color=GREY, size=8)
        write_title(figure, title)
    return figure
