"""`sambench export`: the records as one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from .console import out
from .options import Results

if TYPE_CHECKING:
    pass
from .leaderboard import _filled, good_records


def export(
    output: Annotated[Path, typer.Argument(help="the file to write")],
    results: Results = Path("results"),
    format_: Annotated[str, typer.Option("--format", help="csv | parquet [default: by the file's ending]")] = "",
) -> None:
    """Write a tidy table with one row a run, for pandas; docs/results.md says what its columns are."""
    from ..results.tables import dataframe as tables

    kind = format_ or output.suffix.removeprefix(".")
    if kind not in ("csv", "parquet"):
        raise ConfigError(f"format {kind!r} is not valid; choose csv or parquet")
    table = tables.export(good_records(_filled(results)), output, kind)
    out.print(f"wrote {len(table)} rows to {output}", highlight=False)
