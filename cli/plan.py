"""What a suite would run, as it is printed before anything starts."""

import time
from collections import Counter
from typing import Any

import torch

from .. import units
from ..benchmarks.device import pick_device
from ..benchmarks.suites.suite import Suite
from ..results.records.record import canonical_json
from ..results.records.store import Store
from ..slurm import resources as report
from ..slurm.cluster import commands as scheduler
from ..slurm.cluster.packing import pack
from ..slurm.cluster.profile import Profile
from ..slurm.plan import Plan, make_plan
from ..slurm.status import run_statuses
from .console import facts, out
from .executor_options import Extra, Place, ProfileName, profile_options, read_profile
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
)


def array_size(on: str) -> int:
    """Largest job array of the scheduler; without one, 1."""
    return scheduler.max_array_size() if on == "slurm" else 1


def plan_for(suite: Suite, store: Store, on: str, profile: Profile, device: str, data: str | None) -> Plan:
    """Plan for the device of the jobs, which need not be here."""
    if on == "slurm":
        kind = profile.job_device if device == "auto" else device
        picked = torch.device("cuda" if profile.charged_gpus and kind == "auto" else "cpu" if kind == "auto" else kind)
    else:
        picked = pick_device(device)
    alive = {
        s.spec.run_id for s in run_statuses(suite, store, time.time()) if s.alive
    }  # writes nothing: a plan is pure
    return make_plan(suite, store, picked, data, alive)


def print_plan(made: Plan, on: str, profile: Profile, workers: int, most: int) -> None:
    """Say what a plan runs, costs and takes.

    Args:
        made: the plan.
        on: local, debug or slurm.
        profile: of the cluster's jobs.
        workers: runs at a time, on this machine.
        most: jobs of the largest array.
    """
    out.print(f"[bold]{made.suite.title}[/]", highlight=False)
    if made.suite.description:
        out.print(made.suite.description, highlight=False)
    rows = [("runs in the suite", str(len(made.suite.specs))), ("already in the store", str(made.done))]
    if made.elsewhere:
        rows.append(("under way already", str(made.elsewhere)))
    rows += [
        ("to do", str(len(made.runs))),
        ("gradient evaluations", f"{made.gradient_evaluations:,.0f}"),
        ("training time, one after the other", units.duration(made.seconds)),
    ]
    if on == "slurm":
        rows += _cluster_rows(made, profile, most)
    else:
        rows.append((f"with {workers} at a time", f"{units.duration(made.seconds / workers)} at best"))
        rows.append(("disk", units.size(report.disk_bytes(made, workers))))
    rows.append(("smallest difference that shows", detectable(made.suite)))
    rows += [("estimated from", basis) for basis in made.basis]
    out.print(facts(rows))


def _cluster_rows(made: Plan, profile: Profile, most: int) -> list[tuple[str, str]]:
    jobs = pack(made.runs, profile.runs_per_job, profile.at_a_time)
    needs = report.resources(jobs, profile, most)
    at_once = min(len(jobs), profile.array_parallelism) * profile.at_a_time
    fits = (
        f"{needs.requeued} of {needs.jobs} jobs are checkpointed and requeued at it, {needs.starts} starts in all"
        if needs.requeued
        else "all jobs fit"
    )
    return [
        ("jobs", f"{needs.jobs} in {needs.arrays} arrays, {profile.at_a_time} runs at a time in each"),
        ("GPU hours" if profile.charged_gpus else "job hours", f"{needs.device_hours:,.1f}"),
        ("wall-clock time", f"{units.duration(needs.seconds)} at best, {profile.array_parallelism} jobs at a time"),
        (f"time limit {profile.time}", fits),
        ("disk", units.size(report.disk_bytes(made, at_once, len(jobs)))),
    ]


def detectable(suite: Suite) -> str:
    """Say what the seeds of a suite can show: the smallest difference of two methods that is found in 4 of 5 cases.

    It is in units of the standard deviation over seeds: two-sided t-test at 5 %, the fewest seeds of any method.
    """
    methods = Counter(canonical_json({**spec.model_dump(mode="json"), "seed": None}) for spec in suite.specs)
    fewest = min(methods.values(), default=0)
    if fewest < 2:
        return "one seed a method shows no difference; plan at least 3"
    from ..results.statistics.intervals import detectable_difference  # scipy, which `status` need not load

    value = detectable_difference(fewest)
    return f"{value:.1f} standard deviations between seeds, with {fewest} seeds a method (80 % power, 5 % level)"


@profile_options
def plan(
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
) -> None:
    """Print what a suite would run, what it costs and about how long it takes. Starts nothing."""
    asked = read_profile(on, profile, options, extra)
    loaded, store = open_suite(suite, source), Store(results)
    made = plan_for(loaded, store, on, asked, device, data)
    print_plan(made, on, asked, workers or default_workers(), array_size(on))
