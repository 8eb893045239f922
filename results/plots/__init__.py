"""All figures of a store: one file each, the same bytes for the same records."""

import signal
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from signal import SIG_IGN, SIGINT
from typing import NamedTuple

from matplotlib.figure import Figure

from ...atomic import make_folder
from ...errors import StateError, unknown
from ..records.manifest import TRACKS
from ..records.record import RunRecord
from ..statistics.aggregate import LEAST_WORKLOADS
from ..tables.boards import HEADLINE, Board, Boards, Section
from ..tables.comparability import brief_name, chooses_hyper, file_name, key_of, workload_of
from ..tables.cross_workload import in_common
from .critical_difference import rank_figure
from .error_and_cost import cost_figure, costs_differ, error_figure
from .heatmap import grids, heat_map
from .learning_curves import Against, curves
from .performance_profile import profile_figure, profiles
from .probability_of_improvement import win_figure
from .style import save
from .tuning_curve import tuning_figure

_INTERVAL = "mean and half of its 95 % t-interval over seeds"
_AGAINST: dict[str, tuple[Against, ...]] = {"E": ("epoch",), "G": ("gradient_evaluations",)}
"""Track -> the axis of its learning curves, which ends at about the same place for every method; others have both."""


KINDS = {
    "error": "test error, best method first, and what it cost",
    "cost": "test error against gradient evaluations, where a row takes a fifth more of them than another",
    "curves": "learning curves over what the table holds equal, epochs or gradient evaluations, or over both",
    "wins": "probability of improvement, for all pairs of rows with three runs or more",
    "grid": "a heat map, where a variant ran over a grid of two hyper-parameters without a gap",
    "tuning": "expected best of k trials, of a suite that was tuned",
    "profile": "performance profiles over all workloads of a track, at least two",
    "ranks": "critical differences, of at least six workloads of a track",
}
"""Kind of a figure -> what it shows, and where."""


class Drawing(NamedTuple):
    """A figure that can be drawn: its kind, the name of its files without the ending, and what draws it."""

    kind: str
    stem: str
    figure: Callable[[], Figure]


def draw(
    boards: Boards,
    records: Iterable[RunRecord],
    folder: str | Path,
    *,
    suites: Collection[str] = (),
    kinds: Collection[str] = (),
    workers: int = 1,
    listen: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Draw figures into a folder, and return the files: a PNG and an SVG of each.

    The files of a table are named by the suite with the track, and by the workload where there are several
    (``digits-G-error.svg``); those of runs of no suite by the workload.

    Args:
        boards: the tables of a store.
        records: all records of that store, for the learning curves.
        folder: folder that the files are written to.
        suites: names of the suites that are drawn; all of them, and runs of none, by default.
        kinds: which of :data:`KINDS` are drawn; all by default.
        workers: number of processes, where the system can split one in two.
        listen: is told how many figures are drawn, and of how many, whenever it is one more.

    Raises:
        ConfigError: a suite or a kind does not exist.
        StateError: there is nothing to draw, or the folder cannot be written.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown("kind of figure", kind, KINDS)
    known = {board.manifest.name: board for board in boards.boards if board.manifest}
    for name in suites:
        if name not in known:
            raise unknown("suite of these results", name, known)
    shown = [known[name] for name in dict.fromkeys(suites)] or list(boards.boards)
    found = [drawing for drawing in _drawings(shown, records) if drawing.kind in (kinds or KINDS)]
    if not found:
        missing = f" of these kinds: {'; '.join(f'{kind} is {KINDS[kind]}' for kind in kinds)}" if kinds else ""
        if missing and any(board.sections for board in shown):
            raise StateError(f"there is no figure{missing}")
        raise StateError("there is no finished run to draw; train some with `sambench quickstart` or `sambench run`")
    make_folder(folder)
    paths: list[Path] = []
    for done, pair in enumerate(_drawn(found, Path(folder), workers), 1):
        paths += pair
        listen(done, len(found))
    return paths


def _drawn(found: Sequence[Drawing], folder: Path, workers: int) -> Iterator[tuple[Path, Path]]:
    """Draw figures in their order; the processes are forks, so that none has to load or read anything again."""
    one = partial(_save, found, folder)
    if workers == 1 or len(found) == 1 or "fork" not in get_all_start_methods():
        yield from map(one, range(len(found)))
        return
    _SHARED.append(one)
    try:
        # an interrupt is for this process, which ends the others
        with get_context("fork").Pool(min(workers, len(found)), signal.signal, (SIGINT, SIG_IGN)) as pool:
            yield from pool.imap(_in_worker, range(len(found)))
    finally:
        _SHARED.clear()


_SHARED: list[Callable[[int], tuple[Path, Path]]] = []
"""What a fork inherits: tables and records are not sent to it."""


def _in_worker(number: int) -> tuple[Path, Path]:
    return _SHARED[0](number)


def _save(found: Sequence[Drawing], folder: Path, number: int) -> tuple[Path, Path]:
    return save(found[number].figure(), folder / found[number].stem)


def _drawings(boards: Sequence[Board], records: Iterable[RunRecord]) -> Iterator[Drawing]:
    """List every figure, table by table."""
    runs: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if not chooses_hyper(record):
            runs[key_of(workload_of(record))].append(record)
    sections: list[Section] = []
    for board in boards:
        for section in board.sections:
            if any(row.gradient_evaluations is not None for row in section.workload.rows):
                sections.append(section)
                for kind, name, figure in _of_section(section, runs[section.workload.key]):
                    yield Drawing(kind, f"{_stem(board, section)}-{name}", figure)
        yield from _of_tuning(board)
    if sections:
        yield from _across(sections)


def _of_section(section: Section, records: Sequence[RunRecord]) -> Iterator[Drawing]:
    rows, title = section.workload.rows, _title(section)
    yield Drawing("error", "error", partial(error_figure, rows, title))
    if costs_differ(rows):
        yield Drawing("cost", "cost", partial(cost_figure, rows, title))
    counted = {run for row in rows for run in row.runs}
    shown = [record for record in records if record.run_id in counted]
    for against in _AGAINST.get(section.track.name if section.track else "", ("epoch", "gradient_evaluations")):
        yield Drawing("curves", f"curves-{against}", partial(curves, shown, title, against))
    if sum(bool(row.group) for row in rows) > 1:
        yield Drawing("wins", "wins", partial(win_figure, rows, title))
    for grid in grids(rows):
        figure = partial(heat_map, grid, f"{brief_name(grid.name)}: {title}", _INTERVAL)
        yield Drawing("grid", f"{file_name(grid.name)}-grid", figure)


def _of_tuning(board: Board) -> Iterator[Drawing]:
    if board.manifest is None:
        return
    name = board.manifest.name
    for track in sorted({trial.track for trial in board.trials}, key=HEADLINE.index):
        trials = [trial for trial in board.trials if trial.track == track]
        title = f"{brief_name(name)}, tuning at the budget of track {track}"
        yield Drawing("tuning", f"{file_name(name)}-{track}-tuning", partial(tuning_figure, trials, title))


def _across(sections: Sequence[Section]) -> Iterator[Drawing]:
    """List the figures over several workloads: profiles and, for at least six, critical differences."""
    for track in HEADLINE:
        if not (tables := in_common(sections, track)):
            continue
        title = f"Track {track}: {TRACKS[track]}"
        yield Drawing("profile", f"profile-{track}", partial(profile_figure, tables, title))
        if len(tables) >= LEAST_WORKLOADS:
            labels = [profile.label for profile in profiles(tables)]
            means = [{row.label: row.accuracy for row in rows} for rows in tables]
            ranked = [[mean[label] for label in labels] for mean in means]
            yield Drawing("ranks", f"ranks-{track}", partial(rank_figure, ranked, labels, title))


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
