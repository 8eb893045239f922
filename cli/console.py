"""Where the command line prints: results to standard output, everything else to standard error."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

out, err = Console(), Console(stderr=True)


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Lay texts out in columns; the first one is never wrapped.

    Args:
        columns: headings, one a column.
        rows: one text a column each.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    return table


def say(text: str) -> None:
    """Print a line of plain text, however long."""
    out.print(text, highlight=False, soft_wrap=True)


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """Lay out what there is to say about one thing: name and value, line by line."""
    return grid(["", ""], rows)
