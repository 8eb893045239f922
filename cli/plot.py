"""`sambench plot`: the figures of a store."""

from pathlib import Path
from typing import Annotated

import typer

from ..results.records.store import Store
from .console import say
from .leaderboard import good_records
from .options import RESULTS, Results


def plot(
    results: Results = RESULTS,
    output: Annotated[
        Path | None, typer.Option("--output", help="folder for the figures \\[default: figures in the results]")
    ] = None,
) -> None:
    """Draw the figures: errors and their cost, learning curves, who beats whom, heat maps, profiles, tuning curves."""
    from ..results import plots
    from ..results.tables.boards import gather

    store = Store(results)
    for path in plots.draw(gather(store), good_records(store), output or results / "figures"):
        say(str(path))
