"""``sambench tune``: choose the settings of a suite under one budget for all methods."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .console import err, grid, out, say
from .executor_options import read_executor
from .model_options import made_of_options
from .options import RESULTS, DataRoot, Plugins, Results, open_suite, results_option, run_options, typed
from .progress import pool_progress
from .status import counts
from .watch import watch

if TYPE_CHECKING:
    from ..benchmarks.suites.suite import Suite
    from ..results.records.trials import Trial
    from ..slurm.executor import Executor


@made_of_options(suite=open_suite, executor=read_executor)
def tune(
    suite: "Suite",
    executor: "Executor",
    strategy: Annotated[
        str, typer.Option("--strategy", help="how settings are proposed; see `sambench list strategies`")
    ] = "halton",
    results: Results = RESULTS,
    plugin: Plugins = None,
    data: DataRoot = None,
) -> None:
    """Choose hyper-parameters for every method of a suite under one budget; write the ledger and the suite to launch.

    Every method gets the trials of the table [tuning]: settings from its own search space, a shared range of learning
    rate and weight decay, one seed; its best ones again at further seeds. Trials train on nine tenths of the training
    set and are measured on the last one. An interrupted tuning goes on where it stopped. With --on slurm each round of
    trials is submitted as job arrays, and this command waits for it.
    """
    from ..benchmarks.device import cores
    from ..benchmarks.tuning.strategies import STRATEGIES
    from ..slurm.executor import LocalExecutor
    from ..slurm.tuning import tune_suite, wait_for_jobs

    picked = STRATEGIES.get(strategy)(suite.budget.trials if suite.budget else 1)
    if isinstance(executor, LocalExecutor) and executor.threads == 1 and not executor.cards:
        executor = replace(executor, threads=max(1, cores() // executor.at_once))
    made = tune_suite(
        suite,
        run_options(results, data, plugin),
        picked,
        executor,
        tell=say,
        watch=lambda plan, _: pool_progress(err, len(plan.runs)),
        wait=(lambda look: watch(look, counts)) if out.is_terminal else wait_for_jobs,
    )
    out.print(_chosen(made.trials))
    ended = {kind: sum(trial.status == kind for trial in made.trials) for kind in ("completed", "diverged", "failed")}
    say("trials: " + ", ".join(f"{count} {status}" for status, count in ended.items() if count))
    words = typed(plugin, list(suite.sources), data) + results_option(results)
    say(f"ledger: {made.ledger}\nsuite: {made.suite}; next: sambench launch {shlex.quote(str(made.suite))}{words}")


def _chosen(trials: "Sequence[Trial]") -> Table:
    rows = []
    for trial in trials:
        if trial.chosen and trial.stage == "screen":
            hyper = trial.hyper.strip("{}").replace('"', "").replace(",", " ").replace(":", "=")
            rows.append((trial.method, trial.track, f"{trial.lr:g}", f"{trial.weight_decay:g}", hyper, trial.edges))
    return grid(["method", "track", "lr", "weight decay", "hyper", "at the edge of its range"], rows)
