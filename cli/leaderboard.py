"""``sambench leaderboard``: what the records say.

What draws and what computes tables is imported by the command that needs it: it takes seconds.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ..errors import StateError
from ..results.records.conformance import conformance_checks
from ..results.records.record import RunRecord
from ..results.records.store import Store
from ..variants import published_results
from .console import out, say, tell
from .options import RESULTS, Results, results_option

if TYPE_CHECKING:
    from ..results.tables.boards import Boards

WIDE = ("Memory, MiB", "Checks", "Tier", "Settings")
"""Columns for which a terminal is not wide enough."""


def leaderboard(
    results: Results = RESULTS,
    output: Annotated[
        Path | None, typer.Option("--output", help="the file to write \\[default: LEADERBOARD.md in the results]")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="write nothing; fail if the file is stale")] = False,
) -> None:
    """Regenerate the leaderboard from the records, byte for byte the same for the same records."""
    from ..benchmarks.training.behaviour import codes_today
    from ..results.leaderboard import render as boards
    from ..results.tables.boards import gather

    text = boards.render(gather(_filled(results), codes_today()), conformance_checks(), published_results())
    path = output or results / "LEADERBOARD.md"
    if check:
        named = f" --output {shlex.quote(str(output))}" if output else ""
        boards.check(text, path, f"{boards.COMMAND}{results_option(results)}{named}")
        say(f"{path} is up to date")
    else:
        boards.write(text, path)
        say(f"wrote {path}")


def _filled(results: Path) -> Store:
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
    """Show on the terminal what the leaderboard says."""
    from ..results.leaderboard import footnotes as notes
    from ..results.leaderboard.cells import COLUMNS, LEFT, cells

    shown = [name for name in COLUMNS if name not in WIDE]
    checks = conformance_checks()
    for section in found.sections:
        track = f": track {section.track.name}" if section.track else ""
        title = f"{section.workload.title}{track}"
        table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
        for name in shown:
            table.add_column(name, justify="left" if name in LEFT else "right")
        for row in section.workload.rows:
            texts = cells(row, section, checks)
            table.add_row(*(texts[name] for name in shown))
        out.print(table)
        for note in notes.notes(section):
            say(f"- {note}")
