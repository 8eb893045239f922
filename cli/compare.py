"""``sambench compare``: what the runs say of one row against another."""

from typing import Annotated

import typer

from ..errors import ConfigError
from .console import out, say
from .options import RESULTS, Results, results_option


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="ROW ROW... [SUITE]", help="rows of the board, and where to look")
    ],
    results: Results = RESULTS,
    markdown: Annotated[bool, typer.Option("--markdown", help="print a Markdown table")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="print a LaTeX table, for the package booktabs")] = False,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Tell how much one row differs from another, on every workload and track that has both."""
    from ..results.leaderboard import comparison as texts
    from ..results.tables import comparison

    wanted = [
        write for asked, write in ((markdown, texts.markdown), (latex, texts.latex), (json, texts.as_json)) if asked
    ]
    if len(wanted) > 1:
        raise ConfigError("only one of --markdown, --latex and --json can be printed at a time")
    write = wanted[0] if wanted else texts.text
    found = write(comparison.compare(*names, results=results))
    if wanted:
        say(found)
    else:
        out.print(found)
        say(f"next: sambench plot{results_option(results)}")
