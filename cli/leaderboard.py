"""``sambench leaderboard``: what the records say.

What draws and what computes tables is imported by the command that needs it: it takes seconds.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len
from rich.table import Table

from ..errors import StateError
from ..results.records.conformance import Checks, checks_of
from ..results.records.record import RunRecord
from ..results.records.store import Store
from .console import out, say, tell
from .options import RESULTS, Results, check_own, results_option

if TYPE_CHECKING:
    from ..results.tables.boards import Boards

TELLING = ("Variant", "Error, %", "Group", "vs sgd", "vs sam", "Grad. evals", "Diverged", "n", "ms / eval")
"""Columns for a terminal, the most telling first: as many are shown as it is wide enough for."""


def leaderboard(
    results: Results = RESULTS,
    output: Annotated[
        Path | None, typer.Option("--output", help="the file to write \\[default: LEADERBOARD.md in the results]")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="quote all published numbers, not only those on these data and networks")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="write nothing; fail if a file is stale")] = False,
) -> None:
    """Regenerate the leaderboard from the records, byte for byte the same for the same records."""
    from ..benchmarks.suites.variants_today import variants_today
    from ..results.leaderboard import render as boards
    from ..results.leaderboard.place import Place
    from ..results.tables.boards import gather
    from ..results.tables.published import on_workloads

    place, (codes, numbers) = Place.of(results, output), variants_today()
    check_own(None if check else output, f"`{boards.COMMAND}` builds this page")
    found = gather(filled(results), codes)
    for one in found.damaged:
        tell(("left out: ", "yellow"), str(one))
    if not published:
        numbers = on_workloads(numbers, [section.workload.shared for section in found.sections])
    pages = boards.render(found, shown_checks(results, found), numbers, place)
    if check:
        named = (f" --output {shlex.quote(str(output))}" if output else "") + " --published" * published
        boards.check(pages, f"{boards.COMMAND}{results_option(results)}{named}")
        say(f"{place.front} is up to date")
    else:
        boards.write(pages)
        say(f"wrote {place.front}, and what it links to in {place.folder}")
        say(f"next: sambench site{results_option(results)}")


def shown_checks(results: Path, found: "Boards") -> Checks:
    """Return what the conformance suite found about the variants of boards; see :func:`checks_of`."""
    return checks_of(results, ((row.variant, row.codes) for one in found.sections for row in one.workload.rows))


def filled(results: Path) -> Store:
    """Open a results folder that has records: nothing must replace a board or a table for a mistyped name."""
    store = Store(results)
    if not (store.run_ids() or store.failed_ids()):
        raise StateError(
            f"there are no records in {store.runs}: `sambench run` and `launch` write them, --results names the folder"
        )
    return store


def good_records(store: Store) -> Iterator[RunRecord]:
    """Yield the records that can be read; name the files that cannot."""
    for record in store.scan():
        if isinstance(record, RunRecord):
            yield record
        else:
            tell(("left out: ", "yellow"), str(record))


def print_board(found: "Boards") -> None:
    """Show on the terminal what the leaderboard says: a line a row, whatever its width."""
    from ..results.leaderboard import footnotes as notes
    from ..results.leaderboard.cells import COLUMNS, LEFT, cells
    from ..results.leaderboard.suite_page import heading
    from ..results.tables.comparability import brief_name

    for section in found.sections:
        rows = [cells(row, section, {}) for row in section.workload.rows]
        shown = fitting(rows, out.width)
        table = Table(header_style="bold", box=None, pad_edge=False)
        for name in COLUMNS:
            if name in shown:
                table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(brief_name(row[name], shown[name]) for name in COLUMNS if name in shown))
        say((heading(section), "bold"))
        out.print(table)
        for note in notes.notes(section):
            say(f"- {note}")


def fitting(rows: list[dict[str, str]], width: int) -> dict[str, int]:
    """Choose the columns of a board that a terminal has room for, without those that say nothing here.

    Args:
        rows: for each row one text a column.
        width: characters in a line of the terminal.

    Returns:
        Column -> its width; that of the names is what is left beside the errors, if they need more.
    """
    widths = {name: max(cell_len(text) for text in (name, *(row[name] for row in rows))) for name in TELLING}
    shown, left = dict[str, int](), width
    widths["Variant"] = max(20, min(widths["Variant"], width - 2 - widths["Error, %"]))
    for name in TELLING:
        said = any(row[name] not in ("–", f"0/{row['n']}") for row in rows)
        if name in TELLING[:2] or (said and widths[name] <= left):
            shown[name] = widths[name]
            left -= widths[name] + 2
    return shown
