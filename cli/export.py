"""`sambench export`: the records as one table, or the tables of a board for a paper."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError, unknown
from ..markdown import count
from .console import say
from .options import RESULTS, Results, results_option


def export(
    output: Annotated[Path, typer.Argument(help="the file to write: .csv .parquet .tex .md .html")],
    suite: Annotated[str, typer.Argument(metavar="[SUITE]", help="only its runs, by name")] = "",
    track: Annotated[str, typer.Option("--track", help="only the runs of this track: E | G | T")] = "",
    curves: Annotated[bool, typer.Option("--curves", help="one row an epoch instead of one row a run")] = False,
    results: Results = RESULTS,
    format_: Annotated[
        str, typer.Option("--format", help="csv | parquet | tex | md | html [default: by the file's ending]")
    ] = "",
) -> None:
    """Write the runs as a tidy table for pandas (csv, parquet), or the tables of the board for a paper (tex, md, html).

    docs/results.md says what the columns of the tidy table are.
    """
    from ..results.leaderboard.printed import WRITERS, print_tables
    from ..results.tables import dataframe as tables

    kind = format_ or output.suffix.removeprefix(".")
    if kind in tables.FORMATS:
        table = tables.load_results(results, suite=suite, track=track, curves=curves)
        tables.export(table, output, kind)
        say(f"wrote {count(len(table), 'row')} to {output}")
    elif kind not in WRITERS:
        raise unknown("format", kind, (*tables.FORMATS, *WRITERS))
    elif curves:
        raise ConfigError(f"curves go to {' or '.join(tables.FORMATS)}, not to {kind}")
    else:
        say(f"wrote {print_tables(results, output, kind, suite, track)} to {output}")
    say(f"next: sambench site{results_option(results)}")
