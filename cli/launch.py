"""``sambench plan``, ``launch`` and ``retry``: make the runs of a suite, here or on a cluster."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..benchmarks.device import pick_device
from ..benchmarks.suites.calibration import check_device
from ..benchmarks.suites.preregistration import check_ready, preregister
from ..benchmarks.suites.suite import Suite
from ..benchmarks.training.environment import describe_environment
from ..errors import Interrupted, SambenchError
from ..results.records.store import Store
from ..slurm import resources as report
from ..slurm.cluster import commands as scheduler
from ..slurm.cluster.packing import pack
from ..slurm.cluster.profile import Profile
from ..slurm.cluster.submit import submit
from ..slurm.events import FINAL
from ..slurm.local import run_pool
from ..slurm.plan import Plan
from ..slurm.worker import RunOptions, run_here
from .console import err, out, say
from .executor_options import Extra, Place, ProfileName, profile_options, read_profile
from .options import (
    RESULTS,
    DataRoot,
    Device,
    Every,
    Plugins,
    Results,
    Sources,
    SuiteName,
    Workers,
    default_workers,
    open_suite,
    results_option,
)
from .plan import array_size, plan_for, print_plan
from .progress import pool_progress


@profile_options
def launch(
    suite: SuiteName,
    options: dict[str, Any],
    on: Place = "local",
    profile: ProfileName = None,
    extra: Extra = None,
    results: Results = RESULTS,
    source: Sources = None,
    plugin: Plugins = None,
    data: DataRoot = None,
    device: Device = "auto",
    workers: Workers = None,
    checkpoint_seconds: Every = 60.0,
) -> None:
    """Run what is missing of a suite: here, several processes at a time, or as job arrays of a cluster.

    Runs in the store are skipped, those that somebody makes already too; interrupted ones resume, and one that fails
    never stops another. On a cluster nothing depends on this command after it returns.
    """
    asked = read_profile(on, profile, options, extra)
    loaded, store = open_suite(suite, source), Store(results)
    check_ready(loaded)
    store.check_writable()
    preregister(loaded, store, f"sambench launch {Path(suite).name if Path(suite).is_absolute() else suite}")
    how = run_options(store, device, data, checkpoint_seconds, plugin)
    start(loaded, store, on, asked, how, workers)


def run_options(
    store: Store, device: str, data: str | None, checkpoint_seconds: float, plugin: list[str] | None
) -> RunOptions:
    return RunOptions(
        results=store.root,
        device=device,
        data_root=data,
        checkpoint_seconds=checkpoint_seconds,
        plugins=tuple(plugin or ()),
    )


def start(
    suite: Suite,
    store: Store,
    on: str,
    profile: Profile,
    options: RunOptions,
    workers: int | None = None,
    delay: int = 0,
) -> None:
    """Print the plan of a suite and carry it out; jobs of a cluster wait for so many seconds at least."""
    timed = next((track.calibration for track in suite.resolved_tracks if track.calibration), None)
    if timed is not None:  # track T: one run at a time, as it was calibrated
        alone = {"threads": timed.threads, "runs_per_gpu": 1, "array_parallelism": 1}
        workers, profile = 1, profile.model_copy(update=alone)
        options = replace(options, device_name=timed.device_name, host=timed.host)
    options = replace(options, threads=profile.threads, devices=profile.devices)
    if on == "slurm":
        scheduler.check_present()
    else:
        check_device(suite, describe_environment(pick_device(options.device)), profile.threads)
    made = plan_for(suite, store, on, profile, options.device, options.data_root)
    workers = 1 if on == "debug" else workers or default_workers()
    most = array_size(on)
    print_plan(made, on, profile, workers, most)
    if not made.runs:
        return
    if on == "slurm":
        _submit(made, store, profile, options, most, delay)
        return
    report.check_room(store.root, report.disk_bytes(made, workers))
    with pool_progress(err, len(made.runs)) as listen:
        if on == "debug":
            ended = run_here(made.runs, options, listen)
        else:
            ended = run_pool(made.runs, options, workers, listen)
    counts = {kind: list(ended.values()).count(kind) for kind in dict.fromkeys(ended.values())}
    out.print("  ".join(f"{count} {kind}" for kind, count in counts.items()), highlight=False)
    if "interrupted" in counts:
        raise Interrupted(f"{len(ended) - counts['interrupted']} of {len(made.runs)} runs ended")
    if bad := sum(count for kind, count in counts.items() if kind not in (*FINAL, "held")):
        raise SambenchError(f"{bad} of {len(ended)} runs have no final record; the same command tries them again")


def _submit(made: Plan, store: Store, profile: Profile, options: RunOptions, most: int, delay: int) -> None:
    jobs = pack(made.runs, profile.runs_per_job, profile.at_a_time)
    at_once = min(len(jobs), profile.array_parallelism) * profile.at_a_time
    report.check_room(store.root, report.disk_bytes(made, at_once, len(jobs)))
    profile = profile if options.device == "auto" else profile.model_copy(update={"device": options.device})
    launched = submit(store.root, made.suite.name, jobs, profile, options, say, delay)
    say(f"launch {launched.id}; its folder is {launched.folder}")
    shown = f"{made.suite.name}{results_option(store.root)}"
    say(f"nothing depends on this terminal any more; see: sambench status {shown} --watch")
