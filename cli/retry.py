"""``sambench retry``: try again what failed or was lost."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from .console import say
from .executor_options import read_executor
from .launch import report, show
from .model_options import made_of_options
from .options import (
    RESULTS,
    Compile,
    DataRoot,
    Every,
    Graph,
    Keeping,
    Logging,
    Plugins,
    Results,
    open_suite,
    results_option,
    run_options,
    typed,
)

if TYPE_CHECKING:
    from ..benchmarks.suites.suite import Suite
    from ..slurm.executor import Executor


@made_of_options(suite=open_suite, executor=read_executor)
def retry(
    suite: "Suite",
    executor: "Executor",
    most: Annotated[int, typer.Option("--most", min=1, help="attempts at a run, the first one included")] = 3,
    backoff: Annotated[
        float, typer.Option("--backoff", min=0, help="seconds before the second attempt; then doubled")
    ] = 60,
    results: Results = RESULTS,
    plugin: Plugins = None,
    data: DataRoot = None,
    checkpoint_seconds: Every = 60.0,
    keep: Keeping = "",
    log: Logging = "",
    cuda_graph: Graph = False,
    compiled: Compile = False,
) -> None:
    """Make the failed and lost runs of a suite again, each at most so often, and later each time.

    How they are made is said here as it was when they were launched: --compile, --keep, --log and the rest.
    """
    from ..slurm.retry import retry_suite

    options = run_options(results, data, plugin, checkpoint_seconds, keep, log, cuda_graph, compiled)
    ended = retry_suite(suite, options, executor, most=most, backoff=backoff, tell=say, watch=show)
    words = f"{typed(plugin)}{results_option(results)}"
    report(ended, suite.place, words, executor.name)
    if executor.name != "slurm":
        say(f"next: sambench status {shlex.quote(suite.place)}{words}")
