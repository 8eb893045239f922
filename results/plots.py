"""Figures of a workload: learning curves, and accuracy against what it cost."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from ..errors import ConfigError, StateError
from .figures import COLORS, GREY, INK, LIGHT, label_points, new_figure, save, style
from .record import RunRecord
from .statistics import Floats, Interval, t_interval
from .summary import Row, Workload, summarize
from .workloads import chooses_hyper, key_of, labels, method_of, workload_of

Against = Literal["epoch", "gradient_evaluations"]

TOGETHER = 6
"""Up to so many methods share one pair of axes; more get a small picture each, with the others in grey behind."""

_AXES: dict[Against, str] = {"epoch": "Epochs", "gradient_evaluations": "Gradient evaluations"}
_LEGEND = "mean and 95 % t-interval over seeds; filled: not told apart from the best; cross: not compared"
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (9, 2)))


class Curve(NamedTuple):
    """The mean curve of a method: x (points,), mean, low and high (points,) of the 95 % t-interval over runs."""

    label: str
    x: Floats
    mean: Floats
    low: Floats
    high: Floats


def draw(records: Iterable[RunRecord], folder: str | Path) -> list[Path]:
    """Draw all figures of all workloads into a folder, and return the files: a PNG and an SVG of each.

    Names are ``<workload>-accuracy``, ``<workload>-curves-epoch`` and ``<workload>-curves-gradient_evaluations``.

    Raises:
        StateError: there is nothing to draw, or the folder cannot be written.
    """
    runs: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if not chooses_hyper(record):
            runs[key_of(workload_of(record))].append(record)
    workloads = [w for w in summarize(record for group in runs.values() for record in group) if _costed(w)]
    if not workloads:
        raise StateError("there is no finished run to draw; train some with `sambench quickstart` or `sambench run`")
    paths: list[Path] = []
    for workload in workloads:
        group = runs[key_of(workload.shared)]
        stem = Path(folder) / re.sub(r"[^\w.=+]+", "-", workload.title).strip("-")
        paths += save(accuracy(workload), f"{stem}-accuracy")
        for against in _AXES:
            paths += save(curves(group, workload.title, against), f"{stem}-curves-{against}")
    return paths


def curves(records: Iterable[RunRecord], title: str, against: Against = "gradient_evaluations") -> Figure:
    """Draw the mean curve of every method of one workload, with its 95 % t-interval over seeds.

    The curve is the validation error where every run measured it, else the training loss; the axis is logarithmic,
    since what tells methods apart happens at its low end. Runs that diverged or failed have no curve to average;
    the leaderboard counts them.

    Args:
        records: runs of one workload, in any order.
        title: its name.
        against: what to draw them against.

    Raises:
        ConfigError: no run completed.
    """
    done = [record for record in records if record.status == "completed" and record.curve]
    if not done:
        raise ConfigError("there are no curves to draw: no run of this workload completed")
    validated = all(any(p.validation_accuracy is not None for p in record.curve) for record in done)
    found = mean_curves(done, against, validated)
    name = "Validation error, %" if validated else "Training loss, nats"
    with style():
        figure = (_together if len(found) <= TOGETHER else _apart)(found, name, _AXES[against])
        figure.suptitle(title, x=0.01, ha="left", color=INK, fontweight="bold")
    return figure


def accuracy(workload: Workload) -> Figure:
    """Draw the test accuracy of every row against its gradient evaluations, with 95 % t-intervals.

    Filled points are those that nothing tells apart from the best row; crosses are rows without a group. Rows of
    about the same cost stand side by side, ordered by accuracy. Rows with diverged runs would hide all other
    differences, so that those which lie below the others are marked at the lower edge.
    """
    rows = _costed(workload)
    if not rows:
        raise ConfigError("there are no points to draw: no run of this workload completed")
    with style():
        figure = new_figure(8.5, max(4.0, 1.6 + 0.19 * len(rows)))
        axes = figure.add_subplot()
        clean = [row for row in rows if not row.diverged] or rows
        low = min(100 * _ends(row)[0] for row in clean)
        high = max(100 * _ends(row)[1] for row in clean)
        margin = max(0.06 * (high - low), 0.05)
        lost = any(100 * row.accuracy < low for row in rows)
        floor = low - (2 * margin if lost else margin)
        axes.set_ylim(floor - margin if lost else floor, high + margin)
        best = next((row.group for row in rows if row.group), "")
        for cluster in clusters([row.gradient_evaluations or 0.0 for row in rows]):
            _draw_cluster(axes, [rows[i] for i in cluster], floor, best)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.margins(x=0.08)
        axes.set_xlabel("Gradient evaluations (points of equal cost stand side by side)")
        axes.set_ylabel("Test accuracy, %")
        axes.set_title(_LEGEND, color=GREY, size=8)
        figure.suptitle(workload.title, x=0.01, ha="left", color=INK, fontweight="bold")
    return figure


def mean_curves(records: Sequence[RunRecord], against: Against, validated: bool) -> list[Curve]:
    """Average the curves of each method over its runs, epoch by epoch; best at the end first.

    The values are validation errors in percent or training losses. x is averaged as well: an importance sampler
    may spend a little more in one run than in another.
    """
    methods = {key_of(method_of(record)): method_of(record) for record in records}
    keys = sorted(methods)
    names = dict(zip(keys, labels([methods[key] for key in keys]), strict=True))
    points = [
        (names[key_of(method_of(record))], p.epoch, getattr(p, against), value)
        for record in sorted(records, key=lambda record: record.run_id)
        for p in record.curve
        if (value := _error(p.validation_accuracy) if validated else p.train_loss) is not None
    ]
    table = pd.DataFrame(points, columns=["label", "epoch", "x", "value"])
    result = []
    for label, part in table.groupby("label"):
        steps = [step for _, step in part.groupby("epoch")]
        ends = np.array([_interval(step["value"].to_numpy()) for step in steps])
        result.append(Curve(str(label), np.array([step["x"].mean() for step in steps]), *ends.T))
    return sorted(result, key=lambda curve: (curve.mean[-1], curve.label))


def clusters(values: Sequence[float], share: float = 0.15) -> list[list[int]]:
    """Group positions on an axis that stand so close that their labels need one column: indices, left to right.

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


def _together(found: Sequence[Curve], name: str, x_name: str) -> Figure:
    figure = new_figure(8, 4.2)
    axes = figure.add_subplot()
    for i, curve in enumerate(found):
        _draw_curve(axes, curve, COLORS[i], _DASHES[i])
    _name_axes(axes, found, name, x_name)
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
    axes.set_title("mean and 95 % t-interval over seeds", color=GREY, size=8)
    return figure


def _apart(found: Sequence[Curve], name: str, x_name: str) -> Figure:
    columns = 4
    lines = -(-len(found) // columns)
    figure = new_figure(10, 0.9 + 1.9 * lines)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, curve in zip(grid.flat, found, strict=False):
        for other in found:
            sns.lineplot(x=other.x, y=other.mean, ax=axes, color=LIGHT, linewidth=0.6, errorbar=None, zorder=1)
        _draw_curve(axes, curve, COLORS[0], "-")
        _name_axes(axes, found, "", "")
        axes.set_title(f"{curve.label}: {curve.mean[-1]:.3g}", size=8, color=INK)
    for axes in grid.flat[len(found) :]:
        axes.remove()
    note = "mean and 95 % t-interval over seeds, the others in grey; best at the end first"
    figure.supxlabel(f"{x_name}\n({note})", size=9, color=INK)
    figure.supylabel(name, size=9, color=INK)
    return figure


def _draw_curve(axes: Axes, curve: Curve, color: str, dashes: object) -> None:
    sns.lineplot(x=curve.x, y=curve.mean, ax=axes, color=color, linestyle=dashes, errorbar=None, zorder=3)
    axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.18, linewidth=0, zorder=2)


def _name_axes(axes: Axes, found: Sequence[Curve], name: str, x_name: str) -> None:
    # The first fifth of a training is far above all that tells methods apart: it may leave the picture.
    means = np.concatenate([curve.mean[len(curve.mean) // 5 :] for curve in found])
    positive = means[means > 0]
    if len(positive):  # an error of exactly nothing has no place on a logarithmic axis
        low, high = 0.85 * positive.min(), 1.1 * positive.max()
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        steps = (1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 5, 6, 8)
        axes.yaxis.set_major_locator(LogLocator(subs=steps))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set(xlabel=x_name, ylabel=name)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))


def _draw_cluster(axes: Axes, rows: Sequence[Row], floor: float, best: str) -> None:
    """Draw rows of about one cost side by side, and their labels in a column to the right."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    ordered = sorted(rows, key=lambda row: row.accuracy)
    step = min(5.0, 32.0 / len(rows)) / 72  # inches: side by side, and not far from their true place
    right = max(row.gradient_evaluations or 0.0 for row in rows)
    texts, points, anchors = [], [], []
    for i, row in enumerate(ordered):
        x, y, (low, high) = row.gradient_evaluations or 0.0, 100 * row.accuracy, _ends(row)
        moved = axes.transData + ScaledTranslation(step * (i - (len(rows) - 1) / 2), 0, figure.dpi_scale_trans)
        below = y < floor
        tied = bool(set(row.group) & set(best))
        color = COLORS[0] if row.group else GREY
        axes.errorbar(
            [x],
            [floor if below else y],
            None if below else [[y - 100 * low], [100 * high - y]],
            transform=moved,
            fmt="v" if below else "o" if row.group else "x",
            markersize=5,
            color=color,
            markerfacecolor=color if tied else "white",
            elinewidth=1,
        )
        axes.update_datalim([(x, floor if below else y)])
        texts.append(_point_label(row, below))
        points.append((x, floor if below else y))
        anchors.append(moved)
    edge = axes.transData + ScaledTranslation(step * (len(rows) - 1) / 2 + 12 / 72, 0, figure.dpi_scale_trans)
    label_points(axes, texts, points, anchors, edge, right, [INK] * len(texts))


def _point_label(row: Row, below: bool) -> str:
    details = [f"{100 * row.accuracy:.1f} %"] * below + [f"{row.diverged}/{row.n} diverged"] * bool(row.diverged)
    details += ["n = 1"] * (row.n == 1)
    return row.label + (f" [{', '.join(details)}]" if details else "")


def _costed(workload: Workload) -> list[Row]:
    """Keep the rows with a run that completed: the others have no cost to stand at."""
    return [row for row in workload.rows if row.gradient_evaluations is not None]


def _ends(row: Row) -> tuple[float, float]:
    return (row.accuracy, row.accuracy) if row.low is None or row.high is None else (row.low, row.high)


def _interval(values: Floats) -> Interval:
    return t_interval(values) if len(values) > 1 else Interval(*3 * [float(values[0])])


def _error(share: float | None) -> float | None:
    return None if share is None else 100 * (1 - share)
