"""Where the command line prints: results to standard output, everything else to standard error."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

out, err = Console(), Console(stderr=True)


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Lay texts out in columns; the first one is never wrapped.

    Args:
        columns: their headings.
        rows: as many texts each.
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


def size(count: float) -> str:
    """Write a number of bytes for people.

    Example:
        >>> size(1_500_000), size(2e12)
        ('1.5 MB', '2.0 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Write a time for people.

    Example:
        >>> duration(45), duration(600), duration(7200), duration(1e6)
        ('45 s', '10.0 min', '2.0 h', '11.6 d')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 96 * 3600 else f"{seconds / 86400:.1f} d"
