"""The tables of a board for a paper or a page: LaTeX, Markdown, HTML."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path

from ...atomic import atomic_write_bytes
from ...errors import StateError
from ...markdown import count, escape, table
from ...plain_text import printable
from ..records.store import Store
from ..tables.boards import gather
from ..tables.dataframe import choose
from .cells import LEFT, cells
from .comparison import latex_text, tabular
from .suite_page import heading

COLUMNS = ("Group", "Variant", "Error, %", "n", "vs sgd", "vs sam", "Grad. evals")
Cells = Sequence[Sequence[str]]


def print_tables(results: str | Path, path: str | Path, kind: str, suite: str = "", track: str = "") -> str:
    """Write the tables of a results folder to a file, one row a method, and return how many they are.

    Args:
        results: the folder.
        path: the file.
        kind: one of :data:`WRITERS`.
        suite: only the tables of this suite.
        track: only those of this track.

    Raises:
        ConfigError: the suite or the track does not exist.
        StateError: there is no such table, or the file cannot be written.
    """
    boards = gather(Store(results)).boards
    choose([board.manifest for board in boards if board.manifest], suite, track)
    found = [
        section
        for board in boards
        if not suite or (board.manifest and board.manifest.name == suite)
        for section in board.sections
        if section.workload.rows and (not track or (section.track and section.track.name == track))
    ]
    if not found:
        raise StateError(f"there is no finished run in {results}; `sambench run` and `launch` write them there")
    parts = []
    for section in found:
        rows = [cells(row, section, {}) for row in section.workload.rows]
        shown = [name for name in COLUMNS if any(row[name] != "–" for row in rows)]
        parts.append(WRITERS[kind](heading(section), shown, [[row[name] for name in shown] for row in rows]))
    atomic_write_bytes(path, "\n\n".join([*parts, ""])[:-1].encode())
    return count(len(found), "table")


def _tex(title: str, columns: Sequence[str], rows: Cells) -> str:
    return f"% for the package booktabs\n% {latex_text(printable(title, keep=''))}\n{tabular(columns, rows, LEFT)}"


def _md(title: str, columns: Sequence[str], rows: Cells) -> str:
    return f"**{escape(title)}**\n\n{table(columns, rows, LEFT)}"


def _html(title: str, columns: Sequence[str], rows: Cells) -> str:
    def line(cell: str, texts: Sequence[str]) -> str:
        sides = ("left" if name in LEFT else "right" for name in columns)
        parts = (cell.format(side=side, text=_shown(text)) for side, text in zip(sides, texts, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    head = line('<th scope="col" style="text-align: {side}">{text}</th>', columns)
    body = [line('<td style="text-align: {side}">{text}</td>', row) for row in rows]
    caption = f"<caption>{_shown(title)}</caption>"
    return "\n".join(["<table>", caption, f"<thead>{head}</thead>", "<tbody>", *body, "</tbody>", "</table>"])


def _shown(text: str) -> str:
    return html.escape(printable(text, keep=""))


WRITERS: dict[str, Callable[[str, Sequence[str], Cells], str]] = {"tex": _tex, "md": _md, "html": _html}
"""Ending of a file -> what writes one table, given its name, headings and rows."""
