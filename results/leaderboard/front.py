"""The first page: what each workload says in one line, a figure, and the way to the rest."""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import NamedTuple

from ...markdown import code, count, details, escape, link, table
from ..tables.boards import Board, Boards, Section
from ..tables.comparability import short_name, titles
from ..tables.rows import Row
from . import gains
from .cells import EDGE, UNVERIFIED, difference, error
from .place import Place, link_from
from .suite_page import bullets, heading, result_table, title_of

COMMAND = "sambench leaderboard"
FIGURE = "gains.svg"
_SUMMARY = ("Suite", "Workload", "Track", "Best group", "SGD, %", "SAM, %", "SAM less SGD, points")
_NAMED = 3
"""Number of rows of the best group that the summary names."""
_MOST = 10
"""Number of tables that stand at the top with a line each; the lines of others are folded."""

_HOW_TO_READ = f"""\
- **Track**: what the rows of a table hold equal: **E** the epochs, where a step of SAM costs twice that of SGD; **G**
  the gradient evaluations, so that SGD trains for twice the epochs of SAM; **T** the training time. Where a tuning
  chose what share of its budget a method uses, the budget is equal and the use is not.
- **Group**: rows that share a letter are not told apart by these runs (all pairs at 5 %: Tukey, Games-Howell where the
  variances differ, both where that is unsure). The order within a group means nothing. A row of fewer than three runs,
  or without a run that completed, has no group.
- **Error**: mean over seeds of the test error at the last epoch ± half the 95 % t-interval. A run that diverged counts
  with the error of guessing.
- **vs sgd, vs sam**: difference of the mean errors in points with its 95 % interval, negative where the row is better:
  within the seed where both rows have five seeds in common, which then share initial weights and augmentation, and the
  order where both draw it alike, else Welch's, and none below three runs. Each interval holds for itself; groups judge
  all pairs at once. Of several rows of a baseline, the best one is meant. `sambench compare` tells any two rows apart,
  or says that these runs do not.
- **Grad. evals**: forward and backward passes over one full batch, as counted, mean over the runs that completed; **ms
  / eval**: training time over gradient evaluations, everything but evaluation included; **Memory**: largest peak of a
  run, on CUDA of the allocator, on the CPU of the whole process.
- **Checks**: ✓ passes the conformance suite, ✗ names what fails. **Tier**: *reproduced* ran here, *verified*: at least
  three of its runs were made again from the same specs on another machine or kind of processor, and the means are not
  told apart; *stale* was made by a rule that behaves otherwise today (`docs/rules.md`).
- {UNVERIFIED} a reimplementation that nothing has verified yet; {EDGE} a tuned value at the edge of its range.
- Suites stand in the order of what they can show: by the smallest difference that their runs find, as a share of the
  error; then those without intervals; last, those with rows that train for a single epoch."""


def in_order(boards: Sequence[Board]) -> list[Board]:
    """Sort boards by what they can show; runs of no suite come last."""
    return sorted(boards, key=_order)


def front_page(boards: Boards, pages: Mapping[int, Path], beside: Sequence[str], place: Place) -> str:
    """Write the first page.

    Args:
        boards: the tables of a store.
        pages: for each board with a page, by its ``id``, the file.
        beside: lines of Markdown on what belongs to no suite, most of them links.
        place: where the files lie.
    """
    parts = ["# Leaderboard"]
    shown = in_order([board for board in boards.boards if id(board) in pages])
    if compared := _compared(shown):
        runs = {run for section in boards.sections for row in section.workload.rows for run in row.runs}
        workloads = {section.workload.key for section in boards.sections}
        parts.append(
            f"{count(len(runs), 'run')} on {count(len(workloads), 'workload')}. Errors are of the test set, ± and "
            "brackets are 95 % intervals, and the rows of a best group are not told apart by these runs."
        )
        if _gains(compared):
            alternative = "error of SAM and of the best row, relative to SGD"
            parts.append(f"!{link_from(place.front, alternative, place.folder / FIGURE)}")
        parts += _summary(compared, pages)
    elif not boards.sections:
        parts.append(
            "There is no finished run in the store yet. Train some with `sambench quickstart` (a few minutes), "
            f"`sambench run` or `sambench launch SUITE`, then run `{COMMAND}` again."
        )
    contents = [
        link(title_of(board), "", _anchor(pages[id(board)]))
        if _filled(board)
        else link_from(place.front, title_of(board), pages[id(board)])
        for board in shown
    ]
    if contents or beside:
        parts.append(bullets([*contents, *beside]))
    if boards.sections:
        parts.append(details("How to read the tables", _HOW_TO_READ))
    parts.append(f"`{COMMAND}` builds this page and those it links to from the records; the next build undoes an edit.")
    for board in shown:
        parts += _board(board, pages[id(board)], place)
    if boards.damaged:
        damaged = [escape(f"{item.name}: {item.problem[:200]}") for item in boards.damaged]
        parts += ["## Files that cannot be read", bullets(damaged)]
    if boards.search:
        parts.append(
            f"{count(boards.search, 'search run')} chose hyper-parameters and {'is' if boards.search == 1 else 'are'} "
            "not ranked: the best of many trials looks better than it is."
        )
    return "\n\n".join(parts) + "\n"


def figure(boards: Boards) -> str | None:
    """Draw the figure of the first page; ``None`` if no table has a difference from SGD."""
    return gains.draw(drawn) if (drawn := _gains(_compared(in_order(boards.boards)))) else None


def _filled(board: Board) -> list[Section]:
    return [section for section in board.sections if section.workload.rows]


class _Compared(NamedTuple):
    """A table whose rows are compared, and its workload by what tells it apart within its suite."""

    board: Board
    section: Section
    workload: str

    @property
    def suite(self) -> str:
        return self.board.manifest.name if self.board.manifest else title_of(self.board)

    @property
    def track(self) -> str:
        return self.section.track.name if self.section.track else "–"


def _compared(boards: Sequence[Board]) -> list[_Compared]:
    """List the tables whose rows are compared, in the order of the boards."""
    found = []
    for board in boards:
        sections = [section for section in _filled(board) if not section.reference]
        shared = {section.workload.key: section.workload.shared for section in sections}
        names = dict(zip(shared, titles(list(shared.values())), strict=True))
        found += [_Compared(board, section, names[section.workload.key]) for section in sections]
    return found


def _summary(compared: Sequence[_Compared], pages: Mapping[int, Path]) -> list[str]:
    lines = [[link(one.suite, "", _anchor(pages[id(one.board)])), *_line(one)] for one in compared]
    first, rest = (table(_SUMMARY, part, _SUMMARY[:4]) for part in (lines[:_MOST], lines[_MOST:]))
    return [first, *([details(f"{count(len(lines) - _MOST, 'table')} more", rest)] if lines[_MOST:] else [])]


def _board(board: Board, page: Path, place: Place) -> list[str]:
    """Write a suite's part: its first table, and folded the others."""
    if not (sections := _filled(board)):
        return []
    about = f"{link_from(place.front, 'What it asks and does not show, cost, checks, settings and notes', page)}."
    if board.manifest:
        about += f" {code(board.manifest.command)} makes the runs."
    tables = [result_table(section, place.front, place) for section in sections]
    return [
        f'<a id="{_anchor(page)}"></a>',
        f"## {escape(title_of(board))}",
        about,
        f"### {escape(heading(sections[0]))}",
        *tables[0],
        *(details(heading(section), *parts) for section, parts in zip(sections[1:], tables[1:], strict=True)),
    ]


def _anchor(page: Path) -> str:
    return "suite-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in page.stem)


def _order(board: Board) -> tuple[bool, bool, float, str]:
    rows = [row for section in board.sections for row in section.workload.rows]
    short = any(float(row.spec.get("epochs") or inf) <= 1 for row in rows)
    smallest = min(map(_shows, board.sections), default=inf)
    return board.manifest is None, short, smallest, board.manifest.name if board.manifest else ""


def _shows(section: Section) -> float:
    """Return the smallest difference that a table can show, as a share of its mean error."""
    rows = section.workload.rows
    mean = sum(row.error for row in rows) / len(rows) if rows else 0.0
    return min((alone for _, alone, _ in section.workload.detectable), default=inf) / (mean or 1.0)


def _baseline(section: Section, name: str) -> Row | None:
    """Find the row that columns call by this name: the best one with an interval, else the best one."""
    rows = [row for row in section.workload.rows if short_name(row.spec) == name]
    return next((row for row in rows if row.low is not None), rows[0] if rows else None)


def _line(one: _Compared) -> list[str]:
    section = one.section
    sgd, sam = _baseline(section, "sgd"), _baseline(section, "sam")
    best = [row.label for row in section.workload.rows if "a" in row.group]
    more = f" and {len(best) - _NAMED} more" if len(best) > _NAMED else ""
    return [
        one.workload,
        one.track,
        ", ".join(best[:_NAMED]) + more if len(section.workload.rows) > 1 and best else "–",
        error(sgd) if sgd else "–",
        error(sam) if sam else "–",
        difference(sam.against.get("sgd") if sam else None),
    ]


def _gains(compared: Sequence[_Compared]) -> list[gains.Gain]:
    drawn = []
    for one in compared:
        section = one.section
        sgd, sam, best = _baseline(section, "sgd"), _baseline(section, "sam"), section.workload.rows[0]
        ours, theirs = (row.against.get("sgd") if row else None for row in (sam, best))
        if sgd and sgd.error > 0 and (ours or theirs):
            drawn.append(gains.Gain(_title(one), sgd.error, ours, theirs, best.label))
    return drawn[:_MOST]


def _title(one: _Compared) -> str:
    """Name a table in the figure: its suite, what tells its workload apart there, its track."""
    apart = one.workload.partition(" (")[2].removesuffix(")")
    return f"{one.suite}{apart and f', {apart}'}{f', {one.track}' if one.section.track else ''}"
