"""``sambench launch``: make the runs of a suite, here or on a cluster."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from .console import err, say
from .executor_options import read_executor
from .model_options import made_of_options
from .options import (
    COMPILER,
    RESULTS,
    Anew,
    Compile,
    DataRoot,
    Every,
    Graph,
    Keeping,
    Plugins,
    Results,
    open_suite,
    results_option,
)
from .plan import print_plan
from .progress import pool_progress

if TYPE_CHECKING:
    from ..benchmarks.suites.suite import Suite
    from ..slurm.events import Listen
    from ..slurm.executor import Executor
    from ..slurm.plan import Plan


@made_of_options(suite=open_suite, executor=read_executor)
def launch(
    suite: "Suite",
    executor: "Executor",
    results: Results = RESULTS,
    plugin: Plugins = None,
    data: DataRoot = None,
    checkpoint_seconds: Every = 60.0,
    anew: Anew = False,
    keep: Keeping = "",
    cuda_graph: Graph = False,
    compiled: Compile = False,
) -> None:
    """Run what is missing of a suite: here, several processes at a time, or as job arrays of a cluster.

    Runs in the store are skipped, those that somebody makes already too; interrupted ones resume, and one that fails
    never stops another. On a cluster nothing depends on this command after it returns.
    """
    from ..slurm.launch import launch_suite

    named = Path(suite.place).name if Path(suite.place).is_absolute() else suite.place
    ended = launch_suite(
        suite,
        results,
        executor,
        data_root=data,
        plugins=plugin or (),
        checkpoint_seconds=checkpoint_seconds,
        keep=keep,
        cuda_graph=cuda_graph,
        compiler=COMPILER if compiled else None,
        command=f"sambench launch {named}",
        anew=anew,
        watch=show,
    )
    report(ended, f"{suite.place}{results_option(results)}", executor.name)
    if executor.name != "slurm":
        say(f"site: `sambench site{results_option(results)}` writes {results / 'html' / 'index.html'}")


def show(plan: "Plan", executor: "Executor") -> "AbstractContextManager[Listen]":
    """Print a plan, and return what shows its runs while they are made."""
    print_plan(plan, executor)
    return pool_progress(err, len(plan.runs))


def report(ended: dict[str, str], shown: str, on: str) -> None:
    """Say how the runs of a suite ended.

    Args:
        ended: how each run ended, by run id.
        shown: suite and results folder as `sambench status` takes them.
        on: name of the executor.

    Raises:
        Interrupted: a signal stopped some.
        SambenchError: some have no final record.
    """
    from ..slurm.launch import check_ended

    if on == "slurm":
        if ended:
            say(f"nothing depends on this terminal any more; see: sambench status {shown} --watch")
        return
    counts = {kind: list(ended.values()).count(kind) for kind in dict.fromkeys(ended.values())}
    if counts:
        say("  ".join(f"{count} {kind}" for kind, count in counts.items()))
    check_ended(ended)
