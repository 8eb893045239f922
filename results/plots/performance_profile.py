"""Performance profiles: how often a method is within a factor of the best one, over workloads and seeds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...errors import ConfigError
from ..statistics.aggregate import score_profile
from ..statistics.intervals import Floats
from ..tables.rows import Row
from .style import COLORS, GREY, LIGHT, new_figure, style, write_title

HIGHLIGHTED = 6
"""Number of methods drawn in colour; the others are drawn behind them in grey."""

_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (9, 2)))
_POINTS = 400


class Profile(NamedTuple):
    """One method's profile: shares (t,) of runs within the factors (t,) of the best method's mean error."""

    label: str
    factors: Floats
    shares: Floats


def profiles(tables: Sequence[Sequence[Row]]) -> list[Profile]:
    """Make the profiles of the methods that are in every table, the one with the largest area first.

    Args:
        tables: rows of each workload; a method is identified by its label.
    """
    by_label: list[Mapping[str, Row]] = [{row.label: row for row in rows} for rows in tables]
    shared = sorted(set.intersection(*(set(rows) for rows in by_label))) if by_label else []
    if len(shared) < 2:
        raise ConfigError("a profile needs two methods that ran on every workload")
    errors = [[[1 - accuracy for accuracy in rows[label].accuracies] for rows in by_label] for label in shared]
    best = [min(np.mean(method[w]) for method in errors) for w in range(len(tables))]
    worst = (
        max(max(method[w]) / best[w] for method in errors for w in range(len(tables)) if best[w] > 0)
        if any(best)
        else 1.0
    )
    factors = np.geomspace(1.0, min(max(1.05, float(worst)), 4.0), _POINTS)
    shares = score_profile(errors, factors)
    found = [Profile(label, factors, share) for label, share in zip(shared, shares, strict=True)]
    return sorted(found, key=lambda profile: (-profile.shares.mean(), profile.label))


def profile_figure(tables: Sequence[Sequence[Row]], title: str) -> Figure:
    """Draw the profiles; the further up and left, the more often a method is close to the best.

    Args:
        tables: rows of each workload, as for :func:`profiles`.
        title: text above the figure.
    """
    found = profiles(tables)
    with style():
        figure = new_figure(8, 4.4)
        axes = figure.add_subplot()
        for profile in found[HIGHLIGHTED:]:
            axes.plot(profile.factors, 100 * profile.shares, color=LIGHT, linewidth=0.8)
        for profile, color, dash in zip(found, COLORS, _DASHES, strict=False):
            look = {"color": color, "linestyle": dash, "drawstyle": "steps-post"}
            axes.plot(profile.factors, 100 * profile.shares, label=profile.label, **look)
        axes.set_ylim(-2, 102)
        axes.margins(x=0)
        axes.set(xlabel="Test error over the mean error of the best method", ylabel="Runs within, %")
        hidden = len(found) - HIGHLIGHTED
        note = f"over {len(tables)} workload{'s' * (len(tables) > 1)} of equal weight and all seeds"
        axes.set_title(note + (f"; {hidden} more methods in grey" if hidden > 0 else ""), color=GREY, size=8)
        axes.legend(loc="lower right", fontsize=8)
        write_title(figure, title)
    return figure
