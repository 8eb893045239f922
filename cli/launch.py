"""``sambench launch``: make the runs of a suite, here or on a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import err, say
from .executor_options import Extra, On, ProfileName, profile_options, read_executor
from .options import (
    RESULTS,
    Anew,
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
)
from .plan import print_plan
from .progress import pool_progress

if TYPE_CHECKING:
    from ..slurm.events import Listen
    from ..slurm.executor import Executor
    from ..slurm.plan import Plan


@profile_options
def launch(
    suite: SuiteName,
    options: dict[str, Any],
    on: On = "local",
    profile: ProfileName = None,
    extra: Extra = None,
    results: Results = RESULTS,
    source: Sources = None,
    plugin: Plugins = None,
    data: DataRoot = None,
    device: Device = "auto",
    workers: Workers = None,
    checkpoint_seconds: Every = 60.0,
    anew: Anew = False,
    keep: Keeping = "",
) -> None:
    """Run what is missing of a suite: here, several processes at a time, or as job arrays of a cluster.

    Runs in the store are skipped, those that somebody makes already too; interrupted ones resume, and one that fails
    never stops another. On a cluster nothing depends on this command after it returns.
    """
    from ..slurm.launch import launch_suite

    report(
        launch_suite(
            open_suite(suite, source),
            results,
            read_executor(on, profile, options, extra, device, workers),
            data_root=data,
            plugins=plugin or (),
            checkpoint_seconds=checkpoint_seconds,
            keep=keep,
            command=f"sambench launch {Path(suite).name if Path(suite).is_absolute() else suite}",
            anew=anew,
            watch=show,
        ),
        f"{suite}{results_option(results)}",
        on,
    )
    if on != "slurm":
        say(f"site: `sambench site{results_option(results)}` writes {results / 'html' / 'index.html'}")


@contextmanager
def show(plan: "Plan", executor: "Executor") -> "Iterator[Listen]":
    """Print a plan, then show its runs while they are made."""
    print_plan(plan, executor)
    with pool_progress(err, len(plan.runs)) as listen:
        yield listen


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
