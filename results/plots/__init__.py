"""All figures of a store: one file each, the same bytes for the same records."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ...errors import StateError
from ..records.manifest import TRACKS
from ..records.record import RunRecord
from ..statistics.aggregate import LEAST_WORKLOADS
from ..tables.boards import HEADLINE, Board, Boards, Section
from ..tables.comparability import brief_name, chooses_hyper, file_name, key_of, workload_of
from ..tables.cross_workload import in_common
from .critical_difference import rank_figure
from .error_and_cost import cost_figure, costs_differ, error_figure
from .heatmap import grids, heat_map
from .learning_curves import curves
from .performance_profile import profile_figure, profiles
from .probability_of_improvement import win_figure
from .style import save
from .tuning_curve import tuning_figure

_INTERVAL = "mean and half of its 95 % t-interval over seeds"


def draw(boards: Boards, records: Iterable[RunRecord], folder: str | Path) -> list[Path]:
    """Draw all figures into a folder, and return the files: a PNG and an SVG of each.

    ==============================  =================================================================
    ``<table>-error``               test error, best method first, and what it cost
    ``<table>-cost``                test error against gradient evaluations, where these differ
    ``<table>-curves-epoch``        learning curves; ``-gradient_evaluations`` over what they cost
    ``<table>-wins``                probability of improvement, for all pairs of methods
    ``<table>-<variant>-grid``      heat map, where a variant ran over a grid of two hyper-parameters
    ``<board>-<track>-tuning``      expected best of k trials
    ``profile-<track>``             performance profiles over all workloads of a track, at least two
    ``ranks-<track>``               critical differences, of at least six workloads
    ==============================  =================================================================

    ``<table>`` is the name of the suite with the track (``digits-G``), and the workload's where it has several; for
    runs of no suite it is the workload's.

    Args:
        boards: the tables of a store.
        records: all records of that store, for the learning curves.
        folder: folder that the files are written to.

    Raises:
        StateError: there is nothing to draw, or the folder cannot be written.
    """
    runs: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if not chooses_hyper(record):
            runs[key_of(workload_of(record))].append(record)
    paths: list[Path] = []
    for board in boards.boards:
        for section in board.sections:
            if any(row.gradient_evaluations is not None for row in section.workload.rows):
                for name, figure in _of_section(section, runs[section.workload.key]):
                    paths += save(figure, Path(folder) / f"{_stem(board, section)}-{name}")
        paths += _of_tuning(board, Path(folder))
    if not paths:
        raise StateError("there is no finished run to draw; train some with `sambench quickstart` or `sambench run`")
    return paths + _across(boards.sections, Path(folder))


def _of_section(section: Section, records: Sequence[RunRecord]) -> Iterable[tuple[str, Figure]]:
    rows, title = section.workload.rows, _title(section)
    yield "error", error_figure(rows, title)
    if costs_differ(rows):
        yield "cost", cost_figure(rows, title)
    counted = {run for row in rows for run in row.runs}
    shown = [record for record in records if record.run_id in counted]
    yield "curves-epoch", curves(shown, title, "epoch")
    yield "curves-gradient_evaluations", curves(shown, title, "gradient_evaluations")
    if sum(bool(row.group) for row in rows) > 1:
        yield "wins", win_figure(rows, title)
    for grid in grids(rows):
        yield f"{file_name(grid.variant)}-grid", heat_map(grid, f"{brief_name(grid.variant)}: {title}", _INTERVAL)


def _of_tuning(board: Board, folder: Path) -> list[Path]:
    if board.manifest is None:
        return []
    paths: list[Path] = []
    for track in sorted({trial.track for trial in board.trials}, key=HEADLINE.index):
        trials = [trial for trial in board.trials if trial.track == track]
        figure = tuning_figure(trials, f"{brief_name(board.manifest.name)}, tuning at the budget of track {track}")
        paths += save(figure, folder / f"{file_name(board.manifest.name)}-{track}-tuning")
    return paths


def _across(sections: Sequence[Section], folder: Path) -> list[Path]:
    """Draw the figures over several workloads: profiles and, for at least six, critical differences."""
    paths: list[Path] = []
    for track in HEADLINE:
        if not (tables := in_common(sections, track)):
            continue
        title = f"Track {track}: {TRACKS[track]}"
        paths += save(profile_figure(tables, title), folder / f"profile-{track}")
        if len(tables) >= LEAST_WORKLOADS:
            labels = [profile.label for profile in profiles(tables)]
            means = [{row.label: row.accuracy for row in rows} for rows in tables]
            figure = rank_figure([[mean[label] for label in labels] for mean in means], labels, title)
            paths += save(figure, folder / f"ranks-{track}")
    return paths


def _title(section: Section) -> str:
    track = section.track
    return section.workload.title + (f", track {track.name}: {TRACKS[track.name]}" if track else "")


def _stem(board: Board, section: Section) -> str:
    name = file_name(section.workload.title)
    if board.manifest is None:
        return name
    several = len({s.workload.key for s in board.sections}) > 1
    parts = [
        file_name(board.manifest.name),
        *([name] if several else []),
        *([section.track.name] if section.track else []),
    ]
    return "-".join(parts)
