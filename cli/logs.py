"""`sambench logs`: what the job of a run wrote."""

from typing import Annotated

import typer

from ..results.records.store import Store
from ..slurm.logs import find_log, follow, under_way
from .console import say, tell
from .options import RESULTS, Results, results_option


def logs(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the first characters of a run's id, as status shows it")],
    results: Results = RESULTS,
    follow_: Annotated[bool, typer.Option("--follow", help="go on until the run has ended")] = False,
) -> None:
    """Show what the job that makes a run has written."""
    store = Store(results)
    run_id, path = find_log(store, run)
    for text in follow(path, under_way(store, run_id) if follow_ else lambda: False):
        say(text, end="")
    if store.has(run_id):
        tell(f"next: sambench describe {run_id[:12]}{results_option(results)}")
    elif not follow_:
        tell(f"next: sambench logs {run_id[:12]} --follow{results_option(results)}")
