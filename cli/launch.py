"""``sambench launch``: make the runs of a suite, here or on a cluster."""

import shlex
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..benchmarks.suites.draft import Changes
from ..results.records.store import Store
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
    Logging,
    Plugins,
    Results,
    Sources,
    SuiteOrVariants,
    open_drafted,
    read_changes,
    results_option,
    typed,
)
from .plan import print_plan
from .progress import pool_progress

if TYPE_CHECKING:
    from ..slurm.events import Listen
    from ..slurm.executor import Executor
    from ..slurm.plan import Plan


@made_of_options(changes=read_changes, executor=read_executor)
def launch(
    changes: Changes,
    executor: "Executor",
    suite: SuiteOrVariants = None,
    source: Sources = None,
    results: Results = RESULTS,
    plugin: Plugins = None,
    data: DataRoot = None,
    checkpoint_seconds: Every = 60.0,
    anew: Anew = False,
    keep: Keeping = "",
    log: Logging = "",
    cuda_graph: Graph = False,
    compiled: Compile = False,
) -> None:
    """Run what is missing of a suite: here, several processes at a time, or as job arrays of a cluster.

    Runs in the store are skipped, those that somebody makes already too; interrupted ones resume, and one that fails
    never stops another. On a cluster nothing depends on this command after it returns.

    Without a file: --variants sgd,sam --dataset cifar10 --model wrn16_4 --epochs 200 --seeds 0-4 --track G. What is put
    together or changed here is written to the folder suites of the results, and may be launched from there, too.
    """
    from ..benchmarks.suites.preregistration import check_ready
    from ..slurm.launch import launch_suite

    opened, made = open_drafted(suite, changes, source)
    named = Path(opened.place).name if Path(opened.place).is_absolute() else opened.place
    code = [Path(one).name if Path(one).is_absolute() else one for one in plugin or ()]  # no place of one machine
    if made is not None:
        check_ready(opened, Store(results))
        Store(results).check_writable()
        opened = replace(opened, place=str(made.write(results)))
        say(f"suite: {opened.place}")
    ended = launch_suite(
        opened,
        results,
        executor,
        data_root=data,
        plugins=plugin or (),
        checkpoint_seconds=checkpoint_seconds,
        keep=keep,
        log_to=log,
        cuda_graph=cuda_graph,
        compiler=COMPILER if compiled else None,
        command=(made.command if made else f"sambench launch {shlex.quote(named)}") + typed(code),
        anew=anew,
        watch=show,
    )
    report(ended, opened.place, f"{typed(plugin, source)}{results_option(results)}", executor.name)
    if executor.name != "slurm":
        say(f"next: sambench leaderboard{results_option(results)}")


def show(plan: "Plan", executor: "Executor") -> "AbstractContextManager[Listen]":
    """Print a plan, and return what shows its runs while they are made."""
    print_plan(plan, executor)
    return pool_progress(err, len(plan.runs))


def report(ended: dict[str, str], suite: str, options: str, on: str) -> None:
    """Say how the runs of a suite ended.

    Args:
        ended: how each run ended, by run id.
        suite: name or file of the suite.
        options: further words that `sambench status` needs.
        on: name of the executor.

    Raises:
        Interrupted: a signal stopped some.
        SambenchError: some have no final record.
    """
    from ..slurm.launch import check_ended

    if on == "slurm":
        told = "nothing depends on this terminal any more; " if ended else ""
        say(f"{told}next: sambench status {shlex.quote(suite)} --watch{options}")
        return
    counts = {kind: list(ended.values()).count(kind) for kind in dict.fromkeys(ended.values())}
    if counts:
        say("  ".join(f"{count} {kind}" for kind, count in counts.items()))
    check_ended(ended)
