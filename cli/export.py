"""`sambench export`: the records as one table."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from .console import say
from .leaderboard import _filled, good_records
from .options import RESULTS, Results


def export(
    output: Annotated[Path, typer.Argument(help="the file to write")],
    results: Results = RESULTS,
    format_: Annotated[str, typer.Option("--format", help="csv | parquet [default: by the file's ending]")] = "",
) -> None:
    """Write a tidy table with one row a run, for pandas; docs/results.md says what its columns are."""
    from ..results.tables import dataframe as tables
    from ..results.tables.measured import good_measurements

    kind = format_ or output.suffix.removeprefix(".")
    if kind not in ("csv", "parquet"):
        raise ConfigError(f"format {kind!r} is not valid; choose csv or parquet")
    store = _filled(results)
    table = tables.export(good_records(store), output, kind, good_measurements(store))
    say(f"wrote {len(table)} rows to {output}")
