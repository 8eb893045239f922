"""Markdown that is readable as text, too: tables with padded columns and escaped cells, links, folded parts."""

import html
import re
from collections.abc import Collection, Sequence
from urllib.parse import quote

from .plain_text import printable


class Markdown(str):
    """A text that is Markdown already, so that a table does not escape it."""


def link(text: str, path: str, anchor: str = "") -> Markdown:
    """Write a link, whatever its text and the path hold.

    Example:
        >>> link("a_b", "my boards/x.md"), link("below", "", "suite-s")
        ('[a_b](my%20boards/x.md)', '[below](#suite-s)')
    """
    return Markdown(f"[{_BRACKET.sub(_backslash, _cell(text))}]({quote(path)}{anchor and '#'}{anchor})")


def details(summary: str, *parts: str) -> str:
    """Fold parts of a page below a line; GitHub shows the line with a triangle that opens it."""
    line = html.escape(printable(summary, keep=""), quote=False)
    return "\n\n".join([f"<details><summary>{line}</summary>", *parts, "</details>"])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[str] = ()) -> str:
    """Write a table with columns of equal width.

    Args:
        columns: heading of each column.
        rows: for each row one text a column; what is not :class:`Markdown` is escaped here.
        left: headings of the columns that are aligned to the left; the others are numbers and aligned to the right.

    Example:
        >>> print(table(["name", "n"], [["a|b", "1"]], left=["name"]))
        | name |   n |
        | ---- | --: |
        | a\\|b |   1 |
    """
    body = [[cell if isinstance(cell, Markdown) else _cell(cell) for cell in row] for row in rows]
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


_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_ACTS = re.compile(
    r"""
    \\(?=[!-/:-@\[-`{-~]|$)            # an escape
    | [*|~$`<@]                        # emphasis, cells, strikes, formulas, code, tags, mentions
    | &(?=\#?\w+;)                     # a character reference
    | (?<![^\W_])_ | _(?![^\W_])       # emphasis; within a word it is none
    | \](?=[(\[:])                    # the end of a link, an image or a definition
    | :(?=//|[\w+-]+:)                 # an address, an emoji code
    | (?<=www)\.
    | \#(?=\#*$)                      # the end of a heading
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PIPE = re.compile(r"(?<!\\)\|")
"""One that ends a cell, in code too."""
_BRACKET = re.compile(r"(?<!\\)[\[\]]")
_STARTS = re.compile(r"(\#{1,6}(?=\s|$)|>|[-+](?=\s|$)|[-=]+$|\[(?=[ xX]\])|\d+(?=[.)](?:\s|$)))")


def escape(text: str) -> str:
    r"""Escape a line of a text so that Markdown shows it unchanged, also within a table; code in backticks stays code.

    Example:
        >>> print(escape("# a|b <i> *c* `d_` is_sam [e](f)"))
        \# a\|b &lt;i> \*c\* `d_` is_sam [e\](f)
    """
    line = printable(text.replace("\n", " ")).strip()
    if "``" in line:
        line = line.replace("`", "'")
    parts, end = [], 0
    for span in _SPAN.finditer(line):
        parts += [_inert(line[end : span.start()]), span[0]]
        end = span.end()
    return _STARTS.sub(_start, "".join([*parts, _inert(line[end:])]), count=1) if line else line


def _cell(text: str) -> str:
    return _PIPE.sub(_backslash, escape(text))


def _backslash(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _inert(text: str) -> str:
    return _ACTS.sub(lambda found: {"<": "&lt;", "&": "&amp;"}.get(found[0], f"\\{found[0]}"), text)


def _start(found: re.Match[str]) -> str:
    """Escape what starts a heading, a quotation, a list, a task or a rule, where it stands at the start."""
    if found.start():
        return found[0]
    return f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}"


def lines(text: str) -> str:
    """Escape a text of several lines, and keep them."""
    return "\n".join(map(escape, text.split("\n")))


def code(text: str) -> str:
    """Write a text as code, whatever it holds.

    Example:
        >>> code("a b"), code("a`b")
        ('`a b`', '``a`b``')
    """
    line = printable(text.replace("\n", " "))
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    gap = " " if line[:1] in ("", "`") or line[-1:] == "`" else ""
    return f"{fence}{gap}{line}{gap}{fence}"


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
