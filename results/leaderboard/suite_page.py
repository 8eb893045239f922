"""The page of a suite: what it asks, its tables with everything that was measured, what is excluded and why."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...markdown import code, count, details, escape, lines, table
from ..records.conformance import Checks
from ..tables.boards import Board, Section
from ..tables.comparability import protocol
from .cells import BEST, LEFT, cells
from .footnotes import exclusions, notes, origin, track_text
from .measured import measured
from .place import Place, link_from
from .versus_published import versus_published

RESULTS = ("Group", "Variant", "Error, %", "vs sgd", "vs sam")
COST = ("Variant", "Grad. evals", "ms / eval", "Memory, MiB", "Diverged", BEST)
EVIDENCE = ("Variant", "Checks", "Tier", "Settings")
"""Columns of the three tables that fit a page each; one in which no row has anything is left out."""

BACK = "All suites, and how to read this"
"""Text of the link from a page to the first one."""

REFERENCE = (
    "Settings of their own, epochs included, which no tuning chose and no budget holds equal: for orientation, in no "
    "group and compared with nothing."
)


def title_of(board: Board) -> str:
    """Return the title of a suite, or what stands for it."""
    return board.manifest.title if board.manifest else "Other runs"


def heading(section: Section) -> str:
    """Return the name of a table, with its track."""
    track = f": track {section.track.name}" if section.track else ": reference rows" * section.reference
    return section.workload.title + track


def result_table(section: Section, page: Path, place: Place) -> list[str]:
    """Write what a table found, five columns, with the number of runs above it."""
    fewest, most = (of(row.n for row in section.workload.rows) for of in (min, max))
    each = f"{count(most, 'run')} a row." if fewest == most else f"{fewest} to {most} runs a row, n where it has fewer."
    return [each, _table(section, {}, RESULTS, page, place)]


def suite_page(
    board: Board, checks: Checks, page: Path, place: Place, published: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Write the page of a suite.

    Args:
        board: its tables.
        checks: variant -> conformance check -> result.
        page: the file that the text goes to.
        place: where the other files lie.
        published: numbers of others, as :func:`.versus_published.versus_published` takes them.
    """
    parts = [f"# {escape(title_of(board))}", link_from(page, BACK, place.front)]
    if board.manifest and board.manifest.description:
        parts.append(lines(board.manifest.description))
    parts.append(origin(board))
    for section in board.sections:
        if section.workload.rows:
            parts += [*_section(section, checks, page, place), *versus_published(section, published)]
    if left_out := exclusions(board):
        parts += ["## Excluded, and why", bullets(left_out)]
    return "\n\n".join(parts) + "\n"


def bullets(items: Sequence[str]) -> str:
    """Write a list of Markdown lines."""
    return "\n".join(f"- {item}" for item in items)


def _section(section: Section, checks: Checks, page: Path, place: Place) -> list[str]:
    workload = section.workload
    about = track_text(section.track, workload.rows) if section.track else REFERENCE * section.reference
    return [
        f"## {escape(heading(section))}",
        *([about] if about else []),
        f"All runs: {code(protocol(workload.shared | workload.common))}",
        *result_table(section, page, place),
        details("What it cost", _table(section, checks, COST, page, place)),
        details("Checks, evidence and settings", _table(section, checks, EVIDENCE, page, place)),
        bullets(notes(section)),
        *measured(section),
    ]


def _table(section: Section, checks: Checks, columns: Sequence[str], page: Path, place: Place) -> str:
    most = max(row.n for row in section.workload.rows)
    rows = []
    for row in section.workload.rows:
        texts = cells(row, section, checks)
        linked, mark = place.variant(page, row.label, row.variant), texts["Variant"].removeprefix(row.label)
        texts["Variant"] = type(linked)(linked + mark)
        if row.n < most and row.low is not None:
            texts["Error, %"] += f" (n = {row.n})"
        rows.append(texts)
    said = [name for name in columns if any(texts[name] != "–" for texts in rows)]
    return table(said, [[texts[name] for name in said] for texts in rows], LEFT)
