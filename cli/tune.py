"""``sambench tune``: choose the settings of a suite under one budget for all methods."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .console import err, grid, out, say
from .options import (
    RESULTS,
    DataRoot,
    Device,
    Plugins,
    Results,
    Sources,
    SuiteName,
    Workers,
    open_suite,
    results_option,
    run_options,
)
from .progress import pool_progress

if TYPE_CHECKING:
    from ..results.records.trials import Trial
    from ..slurm.events import Listen
    from ..slurm.executor import Executor
    from ..slurm.plan import Plan


def tune(
    suite: SuiteName,
    method: Annotated[str, typer.Option("--method", help="halton | optuna: how settings are proposed")] = "halton",
    results: Results = RESULTS,
    source: Sources = None,
    plugin: Plugins = None,
    data: DataRoot = None,
    device: Device = "auto",
    workers: Workers = None,
) -> None:
    """Choose hyper-parameters for every method of a suite under one budget; write the ledger and the suite to launch.

    Every method gets the trials of the table [tuning]: settings from its own search space, a shared range of learning
    rate and weight decay, one seed; its best ones again at further seeds. Trials train on nine tenths of the training
    set and are measured on the last one. An interrupted tuning goes on where it stopped.
    """
    from ..benchmarks.device import cores
    from ..benchmarks.tuning.strategies import find_strategy
    from ..slurm.executor import LocalExecutor
    from ..slurm.tuning import tune_suite

    loaded = open_suite(suite, source)
    strategy = find_strategy(method, loaded.budget.trials if loaded.budget else 1)
    executor = LocalExecutor(device, workers=workers)
    executor = LocalExecutor(device, max(1, cores() // executor.at_once), workers)
    made = tune_suite(loaded, run_options(results, data, plugin), strategy, executor, tell=say, watch=_progress)
    out.print(_chosen(made.trials))
    counts = {kind: sum(trial.status == kind for trial in made.trials) for kind in ("completed", "diverged", "failed")}
    say("trials: " + ", ".join(f"{count} {status}" for status, count in counts.items() if count))
    say(f"ledger: {made.ledger}\nsuite: {made.suite}; next: sambench launch {made.suite}{results_option(results)}")


@contextmanager
def _progress(plan: "Plan", executor: "Executor") -> "Iterator[Listen]":
    with pool_progress(err, len(plan.runs)) as listen:
        yield listen


def _chosen(trials: "Sequence[Trial]") -> Table:
    rows = []
    for trial in trials:
        if trial.chosen and trial.stage == "screen":
            hyper = trial.hyper.strip("{}").replace('"', "").replace(",", " ").replace(":", "=")
            rows.append((trial.method, trial.track, f"{trial.lr:g}", f"{trial.weight_decay:g}", hyper, trial.edges))
    return grid(["method", "track", "lr", "weight decay", "hyper", "at the edge of its range"], rows)
