"""Where the command line prints: results to standard output, everything else to standard error.

What is printed may come from anybody: the title of a suite, the name of a file, the reason in a record. It is shown as
it is: no text is read as markup or as the code of an emoji, and what would act on a terminal is written out. Styles are
given beside a text, never in it.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions
from rich.table import Table
from rich.text import Text

from ..plain_text import printable

Part = str | tuple[str, str]
"""A text as it is, or a text and its style (``("error", "red")``)."""


class _Console(Console):
    """A console that takes every text as it is, and breaks lines only where there is a screen with a width."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    @property
    def size(self) -> ConsoleDimensions:
        """Width and height; what is piped is never broken, and a terminal of width 0 (``COLUMNS=0``) has the usual."""
        width, height = super().size
        return ConsoleDimensions((width or 80) if self.is_terminal else 100_000, height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_shown(text), **options)


def _shown(text: str) -> str:
    return printable(text.expandtabs(), keep="\n")


out, err = _Console(), _Console(stderr=True)


def styled(*parts: Part) -> Text:
    """Put a text together of plain and of styled parts."""
    return Text.assemble(*(_shown(one) if isinstance(one, str) else (_shown(one[0]), one[1]) for one in parts))


def say(*parts: Part, end: str = "\n") -> None:
    """Print a line to standard output, however long."""
    out.print(styled(*parts), end=end, soft_wrap=True)


def tell(*parts: Part) -> None:
    """Print a line to standard error, however long."""
    err.print(styled(*parts), soft_wrap=True)


def grid(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Lay texts out in columns; the first one is never wrapped.

    Args:
        columns: headings, one a column.
        rows: one text a column each.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


PROSE = 24
"""Characters that a screen keeps for the last column of a list."""


def listing(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], keys: int = 1) -> Table:
    """Lay texts out in columns, one line a row however narrow the screen.

    The last column, prose, is cut to what is left; those between it and the first ones are shown as far as they fit.

    Args:
        columns: headings, one a column.
        rows: one text a column each.
        keys: number of columns that tell rows apart, which are always shown; the widest gives way in its middle.
    """
    cells = [[one if isinstance(one, Text) else styled(one) for one in row] for row in rows]
    widths = [max(map(cell_len, [name, *(row[at].plain for row in cells)])) for at, name in enumerate(columns)]
    last, shown = len(columns) - 1, list(range(min(keys, len(columns))))
    prose = min(widths[last], PROSE) if last not in shown and any(row[last].plain for row in cells) else 0
    left = out.width - sum(widths[at] + 2 for at in shown) - prose
    if left < 0:
        wide = max(shown, key=lambda at: widths[at])
        widths[wide], left = max(PROSE, widths[wide] + left), 0
        for row in cells:
            row[wide] = styled(_middle_cut(row[wide].plain, widths[wide]))
    for at in range(len(shown), last):
        if widths[at] + 2 <= left:
            shown.append(at)
            left -= widths[at] + 2
    if prose:
        shown.append(last)
        widths[last] = min(widths[last], left + prose)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for at in shown:
        table.add_column(columns[at], no_wrap=True, overflow="ellipsis", width=widths[at])
    for row in cells:
        table.add_row(*(row[at] for at in shown))
    return table


def _middle_cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - most // 2 - 1]}…{text[-(most // 2) :]}"


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """Lay out what there is to say about one thing: name and value, line by line."""
    return grid(["", ""], rows)


class LogHandler(logging.Handler):
    """Prints what is logged to standard error, one line a message."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message with its level."""
        tell((f"{record.levelname.lower()}: ", "dim"), self.format(record))
