"""``sambench retry``: try again what failed or was lost."""

from typing import Annotated, Any

import typer

from .console import say
from .executor_options import Extra, On, ProfileName, profile_options, read_executor
from .launch import report, show
from .options import (
    RESULTS,
    DataRoot,
    Device,
    Every,
    Keeping,
    Plugins,
    Results,
    Sources,
    SuiteName,
    Workers,
    open_suite,
    results_option,
    run_options,
)


@profile_options
def retry(
    suite: SuiteName,
    options: dict[str, Any],
    on: On = "local",
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
    keep: Keeping = "",
) -> None:
    """Make the failed and lost runs of a suite again, each at most so often, and later each time."""
    from ..slurm.retry import retry_suite

    executor = read_executor(on, profile, options, extra, device, workers)
    how = run_options(results, data, plugin, checkpoint_seconds, keep)
    ended = retry_suite(open_suite(suite, source), how, executor, most=most, backoff=backoff, tell=say, watch=show)
    report(ended, f"{suite}{results_option(results)}", on)
