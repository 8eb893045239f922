"""Boards -> the values of a page: texts for its template, numbers for its script.

Nothing is computed anew: rows, texts, intervals, groups and differences are those of the leaderboard.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ..leaderboard.cells import BEST, COLUMNS, cells
from ..leaderboard.footnotes import exclusions, notes, origin, track_text
from ..leaderboard.front import in_order
from ..leaderboard.measured import errors_of, measured, measured_rows, values_of
from ..leaderboard.suite_page import REFERENCE, title_of
from ..plots.heatmap import grids
from ..plots.learning_curves import interval_of, mean_curves
from ..records.conformance import Checks
from ..records.record import RunRecord
from ..tables.boards import Board, Boards, Section
from ..tables.comparability import chooses_hyper, key_of, protocol, workload_of, write
from ..tables.comparison import find
from ..tables.rows import BASELINES, Row, between

Json = dict[str, Any]

ENVIRONMENT = ("device_name", "devices", "threads", "host", "platform", "python", "torch", "sambench", "commit")
"""Fields of an environment that the page shows of a run; runs share most of them."""


class Cell(NamedTuple):
    """A cell of a table: its text, and the number that it is sorted by (``None``: by the text, or last)."""

    text: str
    order: float | None = None


@dataclass(frozen=True)
class Line:
    """A row of a table: its label, its variant, and its cells, one a column."""

    label: str
    variant: str
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Answer:
    """What a table says in one line.

    Attributes:
        best: labels of the rows that are not told apart from the best one; empty where no row has an interval.
        errors: baseline -> its error as the table has it, ``–`` without one.
        gains: name of a row -> its error less that of SGD with the interval, as the table has it.
    """

    best: tuple[str, ...]
    errors: dict[str, str]
    gains: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A workload at the budget of a track.

    Attributes:
        id: of its element in the page.
        title: name of the workload.
        track: ``G``, ``E``, ``T``, or what stands for none.
        rule: what its runs hold equal, as Markdown.
        settings: what all runs share.
        answer: its line at the top; ``None`` for reference rows, which are compared with nothing.
        lines: its rows, best first.
        notes: what stands below, as Markdown.
        measured: what was measured of its models, as Markdown; empty where nothing was.
        plots: kinds of figures that it has.
        data: what the script draws and shows on request.
    """

    id: str
    title: str
    track: str
    rule: str
    settings: str
    answer: Answer | None
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    measured: str
    plots: tuple[str, ...]
    data: Json = field(repr=False)


@dataclass(frozen=True)
class Part:
    """A suite, or the runs of none: its title, its texts as Markdown, and its tables."""

    title: str
    description: str
    origin: str
    excluded: tuple[str, ...]
    tables: tuple[Table, ...]


class Runs:
    """What the page tells of single runs: a list to refer to by number, machines apart because runs share them."""

    def __init__(self, records: Iterable[RunRecord]):
        self.workloads: dict[str, list[RunRecord]] = defaultdict(list)
        self.listed: list[list[Any]] = []
        self.environments: dict[tuple[Any, ...], int] = {}
        self.number: dict[str, int] = {}
        for record in records:
            if not chooses_hyper(record):
                self.workloads[key_of(workload_of(record))].append(record)
                self.number[record.run_id] = len(self.listed)
                self.listed.append(self._run(record))

    def _run(self, record: RunRecord) -> list[Any]:
        made = tuple(getattr(record.environment, key) for key in ENVIRONMENT)
        if record.environment.commit and record.environment.dirty:
            made = (*made[:-1], f"{made[-1]}+")
        return [
            record.run_id,
            record.spec.get("seed"),
            record.status,
            None if record.metrics is None else round(100 * (1 - record.metrics.accuracy), 4),
            _short(record.timing.train_seconds),
            self.environments.setdefault(made, len(self.environments)),
            record.variant_source[:12],
        ]


def parts_of(found: Boards, runs: Runs, checks: Checks) -> list[Part]:
    """Make the parts of a page, one a suite.

    Args:
        found: the tables of a store.
        runs: its runs.
        checks: variant -> conformance check -> result.
    """
    shown = in_order([board for board in found.boards if any(section.workload.rows for section in board.sections)])
    return [_part(number, board, runs, checks) for number, board in enumerate(shown)]


def _part(number: int, board: Board, runs: Runs, checks: Checks) -> Part:
    manifest = board.manifest
    command = manifest.command if manifest else "sambench run, with the settings of the row"
    sections = [section for section in board.sections if section.workload.rows]
    return Part(
        title_of(board),
        manifest.description if manifest else "",
        origin(board),
        tuple(exclusions(board)),
        tuple(_table(f"t{number}-{at}", section, command, runs, checks) for at, section in enumerate(sections)),
    )


def _table(name: str, section: Section, command: str, runs: Runs, checks: Checks) -> Table:
    workload, track = section.workload, section.track
    rows = workload.rows
    texts = [cells(row, section, checks) for row in rows]
    counted = {run for row in rows for run in row.runs}
    records = [one for one in runs.workloads[workload.key] if one.run_id in counted]
    data: Json = {
        "title": workload.title,
        "track": track.name if track else "",
        "command": command,
        "settings": protocol(workload.shared | workload.common),
        "fingerprint": workload.shared.get("data", ""),
        "rows": [_row(row, runs) for row in rows],
        "pairs": [] if section.reference else [_pair(*two) for two in combinations(rows, 2)],
        "grids": [_grid(grid) for grid in grids(rows)],
        "curves": _curves(records),
        "measures": _measures(section),
    }
    plots = ["cost"] if any(row.gradient_evaluations is not None for row in rows) else []
    plots += ["curves"] if data["curves"] else []
    plots += ["pairs"] if any(data["pairs"]) else []
    plots += ["measures"] if data["measures"] else []
    plots += [f"grid{at}" for at in range(len(data["grids"]))]
    about = track_text(track, rows) if track else REFERENCE * section.reference
    return Table(
        id=name,
        title=workload.title,
        track=track.name if track else ("reference" if section.reference else "none"),
        rule=about,
        settings=data["settings"],
        answer=None if section.reference else _answer(rows, texts),
        lines=tuple(_line(row, text) for row, text in zip(rows, texts, strict=True)),
        notes=tuple(notes(section)),
        measured="\n\n".join(measured(section)),
        plots=tuple(plots),
        data=data,
    )


def _line(row: Row, texts: Mapping[str, str]) -> Line:
    orders = {
        "Error, %": row.error,
        "n": row.n,
        **{f"vs {name}": -row.against[name].estimate for name in BASELINES if name in row.against},
        "Grad. evals": row.gradient_evaluations,
        "ms / eval": row.seconds_per_gradient,
        "Memory, MiB": row.memory,
        "Diverged": row.diverged,
        BEST: row.best_epoch,
    }
    return Line(row.label, row.variant, {name: Cell(texts[name], orders.get(name)) for name in COLUMNS})


def _answer(rows: Sequence[Row], texts: Sequence[Mapping[str, str]]) -> Answer:
    by_label = {row.label: text for row, text in zip(rows, texts, strict=True)}
    best = tuple(row.label for row in rows if "a" in row.group)
    found = {name: row.label for name in BASELINES if (row := find(rows, name))}
    errors = {name: by_label[found[name]]["Error, %"] if name in found else "–" for name in BASELINES}
    shown = [*best[:1], found.get("sam", "")]
    gains = {label: by_label[label]["vs sgd"] for label in shown if label}
    return Answer(best, errors, {label: gain for label, gain in gains.items() if gain != "–"})


def _row(row: Row, runs: Runs) -> Json:
    return {
        "label": row.label,
        "variant": row.variant,
        "group": row.group,
        "n": row.n,
        "diverged": row.diverged,
        "error": _short(100 * row.error),
        "low": None if row.high is None else _short(100 * (1 - row.high)),
        "high": None if row.low is None else _short(100 * (1 - row.low)),
        "cost": _short(row.gradient_evaluations),
        "seconds": _short(row.train_seconds),
        "settings": " ".join(f"{key}={write(value)}" for key, value in row.settings.items()),
        "runs": [runs.number[run] for run in row.runs if run in runs.number],
    }


def _pair(first: Row, second: Row) -> list[Any] | None:
    """Return the difference of two errors in points, the ends of its interval, and the pairs, 0 for Welch's."""
    if (found := between(first, second)) is None:
        return None
    ends = (-100 * value + 0.0 for value in (found.estimate, found.high, found.low))
    return [*map(_exact, ends), found.n[0] if found.within_seed else 0]


def _grid(grid: Any) -> Json:
    numbers = [[None if cell != cell else round(cell, 3) for cell in line] for line in grid.errors.tolist()]
    spreads = [[None if cell != cell else round(cell, 3) for cell in line] for line in grid.spreads.tolist()]
    return {"variant": grid.variant, "names": grid.names, "down": grid.down, "across": grid.across,
            "errors": numbers, "spreads": spreads}  # fmt: skip


def _measures(section: Section) -> Json:
    """Return for each measure its rows: number, mean with its interval, and mean error of the same runs."""
    at = {row.label: number for number, row in enumerate(section.workload.rows)}
    found: Json = {}
    for label, rows in measured_rows(section).items():
        for row in rows:
            values = values_of(section, row, label)
            mean, low, high = interval_of(list(values.values()))
            error = 100 * float(np.mean(errors_of(row, values)))
            found.setdefault(label, []).append([at[row.label], *map(_short, (mean, low, high, error))])
    return found


def _curves(records: Sequence[RunRecord]) -> Json | None:
    done = [record for record in records if record.status == "completed" and record.curve]
    if not done:
        return None
    validated = all(any(p.validation_accuracy is not None for p in record.curve) for record in done)
    name = "Validation error, %" if validated else "Training loss, nats"
    curves = {against: mean_curves(done, against, validated) for against in ("epoch", "gradient_evaluations")}
    costs = {curve.label: curve.x for curve in curves["gradient_evaluations"]}
    lines = {
        curve.label: [
            [_short(float(value)) for value in values]
            for values in (curve.x, costs[curve.label], curve.mean, curve.low, curve.high)
        ]
        for curve in curves["epoch"]
    }
    return {"name": name, "lines": lines}


def _exact(value: float) -> float:
    """Cut a number to digits that change no text: what is rounded to two places here is what the table has."""
    return float(f"{value:.10g}")


def _short(value: float | None) -> float | None:
    """Cut a number to the six digits that a figure can show."""
    return None if value is None else float(f"{value:.6g}")
