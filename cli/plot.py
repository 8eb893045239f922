"""`sambench plot`: the figures of a store."""

from pathlib import Path
from typing import Annotated

import typer

from ..benchmarks.device import cores
from ..results.records.store import Store
from .console import err, say
from .leaderboard import good_records
from .options import RESULTS, Results
from .progress import counting_progress


def plot(
    suites: Annotated[list[str] | None, typer.Argument(metavar="[SUITE]...", help="only these, by name")] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", help="error | cost | curves | wins | grid | tuning | profile | ranks; may be repeated"),
    ] = None,
    results: Results = RESULTS,
    output: Annotated[
        Path | None, typer.Option("--output", help="folder for the figures \\[default: figures in the results]")
    ] = None,
) -> None:
    """Draw the figures: errors and their cost, learning curves, who beats whom, heat maps, profiles, tuning curves."""
    from ..results import plots
    from ..results.tables.boards import gather

    store = Store(results)
    with counting_progress(err, "figures") as listen:
        paths = plots.draw(
            gather(store),
            good_records(store),
            output or results / "figures",
            suites=suites or (),
            kinds=kinds or (),
            workers=cores(),
            listen=listen,
        )
    for path in paths:
        say(str(path))
