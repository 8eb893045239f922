"""Markdown tables that are readable as text, too: padded columns, escaped cells."""

from collections.abc import Collection, Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[str] = ()) -> str:
    """Write a table with columns of equal width.

    Args:
        columns: heading of each column.
        rows: for each row one text a column; the texts are escaped here.
        left: headings of the columns that are aligned to the left; the others are numbers and aligned to the right.

    Example:
        >>> print(table(["name", "n"], [["a|b", "1"]], left=["name"]))
        | name |   n |
        | ---- | --: |
        | a\\|b |   1 |
    """
    body = [[escape(cell) for cell in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(columns, *body, strict=True)]
    aligned = [name in left for name in columns]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(row, widths, aligned, strict=True)
        ]
        return f"| {' | '.join(cells)} |"

    rule = ["-" * width if to_left else "-" * (width - 1) + ":" for width, to_left in zip(widths, aligned, strict=True)]
    return "\n".join([line(columns), line(rule), *map(line, body)])


def escape(text: str) -> str:
    """Escape a text so that Markdown shows it unchanged, also within a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def number(value: float | None) -> str:
    """Write a number with about three digits, and ``None`` as ``–``.

    Example:
        >>> [number(value) for value in (1234.5, 12.34, 1.234, None)]
        ['1,234', '12.3', '1.23', '–']
    """
    if value is None:
        return "–"
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def count(amount: int, noun: str) -> str:
    """Write an amount with its noun in singular or plural.

    Example:
        >>> count(1, "run"), count(1200, "run")
        ('1 run', '1,200 runs')
    """
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"
