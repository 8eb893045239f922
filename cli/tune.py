"""The commands that come before the runs of a suite: tune it, calibrate it."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..atomic import atomic_write_bytes, make_folder
from ..benchmarks.device import cores, pick_device
from ..benchmarks.spec import RunSpec
from ..benchmarks.suites.suite import Suite
from ..benchmarks.tuning.search import RunSpecs, tuned_entries
from ..benchmarks.tuning.search import tune as search
from ..benchmarks.tuning.strategies import find_strategy
from ..benchmarks.tuning.tuned_suite import final_suite
from ..errors import StateError
from ..results.records.manifest import FOLDER as SUITES
from ..results.records.manifest import read_manifests
from ..results.records.store import Store
from ..results.records.trials import FOLDER as LEDGERS
from ..results.records.trials import Trial, write_ledger
from ..slurm.local import run_pool
from ..slurm.plan import Plan, make_plan
from ..slurm.worker import RunOptions
from .console import err, grid, out
from .options import (
    RESULTS,
    DataRoot,
    Device,
    Plugins,
    Results,
    Sources,
    SuiteName,
    Workers,
    default_workers,
    open_suite,
    results_option,
)
from .progress import pool_progress

TRIALS = "tuning"
"""Folder of the trials' records and checkpoints, beside the final ones: their ledger is what is kept."""


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
    loaded = open_suite(suite, source)
    tuned_entries(loaded)
    picked = find_strategy(method, loaded.budget.trials if loaded.budget else 1)
    store = Store(results / TRIALS)
    site = RunOptions(store.root, device=device, data_root=data, plugins=tuple(plugin or ()))
    trials = search(loaded, store, picked, _pool(loaded, store, site, workers or default_workers()))
    ledger, final = results / LEDGERS / f"{loaded.name}.parquet", results / SUITES / f"{loaded.name}.toml"
    digest = write_ledger(trials, candidate := ledger.with_suffix(".new"))
    text = final_suite(loaded, trials, ledger.name, digest)
    _check_unseen(results, loaded.name, final, text)
    candidate.replace(ledger)
    make_folder(final.parent)
    atomic_write_bytes(final, text.encode())
    out.print(_chosen(trials))
    ended = {status: sum(trial.status == status for trial in trials) for status in ("completed", "diverged", "failed")}
    out.print("trials: " + ", ".join(f"{count} {status}" for status, count in ended.items() if count), highlight=False)
    out.print(
        f"ledger: {ledger}\nsuite: {final}; next: sambench launch {final}{results_option(results)}",
        highlight=False,
        soft_wrap=True,
    )


def _pool(suite: Suite, store: Store, site: RunOptions, workers: int) -> RunSpecs:
    """Make the runs of a round on this machine's worker pool."""
    store.check_writable()

    def run(specs: Sequence[RunSpec]) -> Mapping[str, str]:
        plan = make_plan(
            dataclasses.replace(suite, specs=tuple(specs)), store, pick_device(site.device), site.data_root
        )
        _announce(plan, workers)
        errors: dict[str, str] = {}
        with pool_progress(err, len(plan.runs)) as listen:

            def hear(event) -> None:
                listen(event)
                if event.kind == "failed":
                    errors[event.run.spec.run_id] = event.text

            if plan.runs:
                run_pool(plan.runs, dataclasses.replace(site, threads=max(1, cores() // workers)), workers, hear)
        return errors

    return run


def _announce(plan: Plan, workers: int) -> None:
    todo, hours = len(plan.runs), plan.seconds / workers / 3600
    out.print(
        f"trials of this round: {len(plan.suite.specs)}, done {plan.done}, to do {todo}, about {60 * hours:.1f} min",
        highlight=False,
    )


def _check_unseen(results: Path, name: str, final: Path, text: str) -> None:
    """Refuse to choose anew once final runs were made: their test accuracies may have been seen."""
    store = Store(results)
    known = next((manifest for manifest in read_manifests(results) if manifest.name == name), None)
    seen = [run for run in known.runs if store.has(run)] if known else []
    if seen and (not final.is_file() or final.read_text() != text):
        raise StateError(
            f"{len(seen)} final runs of suite {name!r} are done, so its test set was used: settings chosen anew would "
            "be chosen after seeing it. Tune it under another name (a copy of the TOML file); nothing was changed"
        )


def _chosen(trials: Sequence[Trial]) -> Table:
    rows = []
    for trial in trials:
        if trial.chosen and trial.stage == "screen":
            hyper = trial.hyper.strip("{}").replace('"', "").replace(",", " ").replace(":", "=")
            rows.append((trial.method, trial.track, f"{trial.lr:g}", f"{trial.weight_decay:g}", hyper, trial.edges))
    return grid(["method", "track", "lr", "weight decay", "hyper", "at the edge of its range"], rows)
