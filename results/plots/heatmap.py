"""Heat maps over two hyper-parameters, such as rho and lam of Unified SAM."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...errors import ConfigError
from ..statistics.intervals import Floats
from ..tables.comparability import brief_name, varying, write
from ..tables.rows import Row
from .style import GREY, draw_cells, new_figure, style, write_title

_Value = tuple[bool, float, str]
"""Sort key of a hyper-parameter's value (is text, number, text): numbers by size, texts after them."""


class Grid(NamedTuple):
    """Values over two hyper-parameters: errors in percent (rows, columns), NaN where nothing was run.

    Attributes:
        variant: name of the variant that was run over the grid.
        names: names of the two hyper-parameters: that of the rows, that of the columns.
        down: values of the first hyper-parameter, as texts.
        across: values of the second, as texts.
        errors: (len(down), len(across)) mean test errors in percent.
        spreads: half the width of the 95 % interval of each error, of the same shape; NaN without one.
        fixed: the other hyper-parameters that differ among the variant's rows, at their values here
            (``lam_clock=step``); empty where there are none.
    """

    variant: str
    names: tuple[str, str]
    down: tuple[str, ...]
    across: tuple[str, ...]
    errors: Floats
    spreads: Floats
    fixed: str = ""

    @property
    def name(self) -> str:
        """The variant, and what is fixed."""
        return f"{self.variant}, {self.fixed}" if self.fixed else self.variant


def grids(rows: Sequence[Row]) -> list[Grid]:
    """Find the variants whose rows cover a grid of two hyper-parameters: at least two values of each, no gap.

    The two are those with the most values, numbers before texts; where others differ, too, there is a grid for each of
    their values.

    Args:
        rows: rows of one table.
    """
    found = []
    for variant in sorted({row.variant for row in rows}):
        own = [row for row in rows if row.variant == variant]
        keys = varying([row.settings for row in own])
        values = {key: {_ordered(row.settings.get(key)) for row in own} for key in keys}
        texts = {key: _has_texts(key, own) for key in keys}
        most = sorted(keys, key=lambda key: (-len(values[key]), texts[key]))
        pair = sorted(most[:2], key=lambda key: (texts[key], key))
        parts: dict[str, list[Row]] = defaultdict(list)
        for row in own:
            parts[" ".join(f"{k}={write(row.settings.get(k))}" for k in keys if k not in pair)].append(row)
        for fixed, part in sorted(parts.items()):
            if len(pair) == 2 and all(key in row.settings for key in pair for row in part):
                down, across = (sorted({_ordered(row.settings[key]) for row in part}) for key in pair)
                if min(len(down), len(across)) > 1 and len(part) == len(down) * len(across):
                    found.append(_grid(variant, (pair[0], pair[1]), down, across, part)._replace(fixed=fixed))
    return found


def heat_map(grid: Grid, title: str, note: str) -> Figure:
    """Draw a grid: darker cells have less error, and each cell shows its error and spread.

    Args:
        grid: errors of one variant.
        title: text above the figure.
        note: line below the title that explains the numbers.
    """
    if np.isnan(grid.errors).all():
        raise ConfigError(f"there is no value to draw in the grid of {grid.variant!r}")
    with style():
        figure = new_figure(2.2 + 1.05 * len(grid.across), 1.9 + 0.48 * len(grid.down))
        axes = figure.add_subplot()
        texts = [
            [f"{e:.2f}" + ("" if np.isnan(s) else f" ± {s:.2f}") for e, s in zip(*pair, strict=True)]
            for pair in zip(grid.errors, grid.spreads, strict=True)
        ]
        draw_cells(axes, grid.errors, {"cmap": "GnBu_r"}, texts, 8)
        bar = figure.colorbar(axes.collections[0], label="Test error, %", pad=0.02)
        bar.outline.set_visible(False)
        axes.set_xticks(np.arange(len(grid.across)) + 0.5, list(map(brief_name, grid.across)))
        axes.set_yticks(np.arange(len(grid.down)) + 0.5, list(map(brief_name, grid.down)))
        axes.set(xlabel=brief_name(grid.names[1]), ylabel=brief_name(grid.names[0]))
        axes.set_title(note, color=GREY, size=8)
        write_title(figure, title)
    return figure


def _grid(
    variant: str, names: tuple[str, str], down: Sequence[_Value], across: Sequence[_Value], rows: Sequence[Row]
) -> Grid:
    errors = np.full((len(down), len(across)), np.nan)
    spreads = errors.copy()
    for row in rows:
        at = down.index(_ordered(row.settings[names[0]])), across.index(_ordered(row.settings[names[1]]))
        errors[at] = 100 * row.error
        spreads[at] = np.nan if row.low is None else 100 * (row.accuracy - row.low)
    return Grid(variant, names, tuple(v[2] for v in down), tuple(v[2] for v in across), errors, spreads)


def _has_texts(key: str, rows: Sequence[Row]) -> bool:
    return any(isinstance(row.settings.get(key), str) for row in rows)


def _ordered(value: object) -> _Value:
    number = isinstance(value, int | float)
    return not number, float(value) if number else 0.0, write(value)
