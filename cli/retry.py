"""`sambench retry`: try again what failed or was lost."""

import time
from typing import Annotated, Any

import typer

from .. import units
from ..results.records.store import Store
from ..slurm.cluster.submission import list_submissions
from ..slurm.retry import local_retries, note_retry, pick_for_retry
from ..slurm.status import run_statuses
from .console import say
from .executor_options import Extra, Place, ProfileName, profile_options, read_profile
from .launch import run_options, start
from .options import RESULTS, DataRoot, Device, Every, Plugins, Results, Sources, SuiteName, Workers, open_suite


@profile_options
def retry(
    suite: SuiteName,
    options: dict[str, Any],
    on: Place = "local",
    profile: ProfileName = None,
    extra: Extra = None,
    most: Annotated[int, typer.Option("--most", min=1, help="attempts at a run, the first one included")] = 3,
    backoff: Annotated[
        float, typer.Option("--backoff", min=0, help="seconds before the second attempt; then doubled")
    ] = 60,
    results: Results = RESULTS,
    source: Sources = None,
    plugin: Plugins = None,
    data: DataRoot = None,
    device: Device = "auto",
    workers: Workers = None,
    checkpoint_seconds: Every = 60.0,
) -> None:
    """Make the failed and lost runs of a suite again, each at most so often, and later each time."""
    asked = read_profile(on, profile, options, extra)
    loaded, store = open_suite(suite, source), Store(results)
    store.check_writable()
    picked = pick_for_retry(run_statuses(loaded, store), list_submissions(store.root), most, local_retries(store))
    for text in picked.explain():
        say(text)
    if not picked.specs:
        return
    delay = int(backoff * 2 ** (picked.attempts - 1)) if picked.attempts else 0
    if on != "slurm":
        if delay:
            say(f"starting in {units.duration(delay)}")
            time.sleep(delay)
        note_retry(store, picked.specs)
    how = run_options(store, device, data, checkpoint_seconds, plugin)
    start(picked.part_of(loaded), store, on, asked, how, workers, delay)
