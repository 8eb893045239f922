"""The commands that run suites, here or on a cluster: plan, launch, status, logs, cancel, retry."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..errors import ConfigError, SambenchError
from ..results.store import Store
from ..slurm import report, scheduler
from ..slurm.attempt import FINAL, Site, run_here
from ..slurm.control import cancel_suite, pick_for_retry
from ..slurm.launches import list_launches
from ..slurm.logs import find_log, follow
from ..slurm.pack import pack
from ..slurm.plan import Plan, make_plan
from ..slurm.pool import run_pool
from ..slurm.profile import Profile, load_profile
from ..slurm.status import STATES, Standing, standings
from ..slurm.submit import submit
from ..variants import load_plugin
from .announcement import announce, check_ready
from .calibration import check_device
from .environment import cores, describe_environment, pick_device
from .interrupt import Interrupted
from .options import model_options
from .progress import pool_progress
from .spec import Source
from .suite import Suite, load_suite

PLACES = ("local", "debug", "slurm")
out, err = Console(), Console(stderr=True)

SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="a shipped suite or a TOML file")]
Results = Annotated[
    Path, typer.Option("--results", envvar="SAMBENCH_RESULTS", help="folder of records and checkpoints")
]
Sources = Annotated[
    list[str], typer.Option("--source", help="where a data set lies: NAME=parquet:DIR; may be repeated")
]
Plugins = Annotated[list[str], typer.Option("--plugin", help="Python file that registers variants; may be repeated")]
DataRoot = Annotated[str | None, typer.Option("--data", envvar="SAMBENCH_DATA", help="folder of downloaded data sets")]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ... [dim](slurm: as the profile says)[/]")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="processes \\[default: one per core, at most 4]")]
Every = Annotated[float, typer.Option("--checkpoint-seconds", min=0, help="least time between two checkpoints")]
Place = Annotated[str, typer.Option("--on", help="local: processes here; debug: in this process; slurm: job arrays")]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="cluster profile: cpu, gpu, gpu-shared, preemptible, or a TOML file")
]
Extra = Annotated[list[str], typer.Option("--extra", help="any other option of sbatch: NAME=VALUE; may be repeated")]

profile_options = model_options(
    Profile, "options", "The jobs (every field of a cluster profile)", skip={"title", "setup", "extra", "device"}
)


def load(name: str, sources: list[str], plugins: list[str]) -> Suite:
    """Load a suite after the plug-ins that its variants may come from."""
    for path in plugins:
        load_plugin(path)
    return load_suite(name, tuple(map(Source.parse, sources)))


def read_profile(on: str, name: str | None, options: dict[str, Any], extra: list[str]) -> Profile:
    """Put a profile together from a name and options; say where options have no effect."""
    if on not in PLACES:
        raise ConfigError(f"--on {on!r} is not valid; choose one of {', '.join(PLACES)}")
    read: dict[str, str | int | bool] = {}
    for text in extra:
        key, equals, value = text.partition("=")
        read[key.strip().lstrip("-")] = value.strip() if equals else True
    idle = [option for option in options if option != "threads"] if on != "slurm" else []
    if idle or (on != "slurm" and (name or read)):
        names = ", ".join(f"--{option.replace('_', '-')}" for option in [*idle, *(["profile"] if name else [])])
        raise ConfigError(f"{names or '--extra'} means something on a cluster only; add --on slurm, or leave it out")
    return load_profile(name, {**options, "extra": read})


@profile_options
def plan(
    suite: SuiteName,
    options: dict[str, Any],
    on: Place = "local",
    profile: ProfileName = None,
    extra: Extra = [],  # noqa: B006  (typer copies it)
    results: Results = Path("results"),
    source: Sources = [],  # noqa: B006
    plugin: Plugins = [],  # noqa: B006
    data: DataRoot = None,
    device: Device = "auto",
    workers: Workers = None,
) -> None:
    """Print what a suite would run, what it costs and about how long it takes. Starts nothing."""
    asked = read_profile(on, profile, options, extra)
    loaded, store = load(suite, source, plugin), Store(results)
    made = _plan(loaded, store, on, asked, device, data)
    _print_plan(made, on, asked, workers or default_workers(), _array_size(on))


@profile_options
def launch(
    suite: SuiteName,
    options: dict[str, Any],
    on: Place = "local",
    profile: ProfileName = None,
    extra: Extra = [],  # noqa: B006
    results: Results = Path("results"),
    source: Sources = [],  # noqa: B006
    plugin: Plugins = [],  # noqa: B006
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
    loaded, store = load(suite, source, plugin), Store(results)
    check_ready(loaded)
    store.check_writable()
    announce(loaded, store, f"sambench launch {suite}")
    site = Site(store.root, device, asked.threads, data, checkpoint_seconds, tuple(plugin))
    start(loaded, store, on, asked, site, workers)


def default_workers() -> int:
    """One process per core, but no more than four: a small model uses one core well, and memory is shared."""
    return min(4, cores())


def start(suite: Suite, store: Store, on: str, profile: Profile, site: Site, workers: int | None = None) -> None:
    """Print the plan of a suite and carry it out."""
    timed = next((lane.calibration for lane in suite.lanes if lane.calibration), None)
    if timed is not None:  # track T: one run at a time, as it was calibrated
        workers, profile = 1, profile.model_copy(update={"threads": timed.threads, "runs_per_gpu": 1})
    site = Site(site.results, site.device, profile.threads, site.data_root, site.checkpoint_seconds, site.plugins)
    if on == "slurm":
        scheduler.check_present()
    else:
        check_device(suite, describe_environment(pick_device(site.device)).device_name, profile.threads)
    made = _plan(suite, store, on, profile, site.device, site.data_root)
    workers = 1 if on == "debug" else workers or default_workers()
    most = _array_size(on)
    _print_plan(made, on, profile, workers, most)
    if not made.runs:
        return
    if on == "slurm":
        _submit(made, store, profile, site, most)
        return
    report.check_room(store.root, report.disk_bytes(made, workers))
    with pool_progress(err, len(made.runs)) as listen:
        if on == "debug":
            ended = run_here(made.runs, site, listen)
        else:
            ended = run_pool(made.runs, site, workers, listen)
    counts = {kind: list(ended.values()).count(kind) for kind in dict.fromkeys(ended.values())}
    out.print("  ".join(f"{count} {kind}" for kind, count in counts.items()), highlight=False)
    if "interrupted" in counts:
        raise Interrupted(f"{len(ended) - counts['interrupted']} of {len(made.runs)} runs ended")
    if bad := sum(count for kind, count in counts.items() if kind not in (*FINAL, "held")):
        raise SambenchError(f"{bad} of {len(ended)} runs have no final record; the same command tries them again")


def _submit(made: Plan, store: Store, profile: Profile, site: Site, most: int, delay: int = 0) -> None:
    jobs = pack(made.runs, profile.runs_per_job, profile.at_a_time)
    at_once = min(len(jobs), profile.array_parallelism) * profile.at_a_time
    report.check_room(store.root, report.disk_bytes(made, at_once, len(jobs)))
    profile = profile if site.device == "auto" else profile.model_copy(update={"device": site.device})
    launched = submit(store.root, made.suite.name, jobs, profile, site, lambda text: _say(text), delay)
    _say(f"launch {launched.id}; its folder is {launched.folder}")
    _say(f"nothing depends on this terminal any more; see: sambench status {made.suite.name} --watch")


def _say(text: str) -> None:
    out.print(text, highlight=False, soft_wrap=True)


def _array_size(on: str) -> int:
    return scheduler.max_array_size() if on == "slurm" else 1


def _plan(suite: Suite, store: Store, on: str, profile: Profile, device: str, data: str | None) -> Plan:
    """Plan for the device of the jobs, which need not be here."""
    import torch

    if on == "slurm":
        kind = profile.job_device if device == "auto" else device
        picked = torch.device("cuda" if profile.gpus and kind == "auto" else "cpu" if kind == "auto" else kind)
    else:
        picked = pick_device(device)
    alive = {s.spec.run_id for s in standings(suite, store) if s.alive}
    return make_plan(suite, store, picked, data, alive)


def _print_plan(made: Plan, on: str, profile: Profile, workers: int, most: int) -> None:
    out.print(f"[bold]{made.suite.title}[/]", highlight=False)
    if made.suite.description:
        out.print(made.suite.description, highlight=False)
    rows = [("runs in the suite", str(len(made.suite.specs))), ("already in the store", str(made.done))]
    if made.elsewhere:
        rows.append(("under way already", str(made.elsewhere)))
    rows += [
        ("to do", str(len(made.runs))),
        ("gradient evaluations", f"{made.gradient_evaluations:,.0f}"),
        ("training time, one after the other", report.duration(made.seconds)),
    ]
    if on == "slurm":
        rows += _cluster_rows(made, profile, most)
    else:
        rows.append((f"with {workers} at a time", f"{report.duration(made.seconds / workers)} at best"))
        rows.append(("disk", report.size(report.disk_bytes(made, workers))))
    rows.append(("smallest difference that shows", report.detectable(made.suite)))
    rows += [("estimated from", basis) for basis in made.basis]
    out.print(_table(["", ""], rows))


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
        ("GPU hours" if profile.gpus else "job hours", f"{needs.device_hours:,.1f}"),
        ("wall-clock time", f"{report.duration(needs.seconds)} at best, {profile.array_parallelism} jobs at a time"),
        (f"time limit {profile.time}", fits),
        ("disk", report.size(report.disk_bytes(made, at_once, len(jobs)))),
    ]


def status(
    suite: SuiteName,
    results: Results = Path("results"),
    source: Sources = [],  # noqa: B006
    plugin: Plugins = [],  # noqa: B006
    watch: Annotated[bool, typer.Option("--watch", help="show it anew every few seconds until all have ended")] = False,
    all_: Annotated[bool, typer.Option("--all", help="list the runs that are done, too")] = False,
) -> None:
    """Show where every run of a suite stands."""
    loaded, store = load(suite, source, plugin), Store(results)
    found = standings(loaded, store)
    if not watch:
        out.print(_status_table(found, all_))
        _say(_counts(found))
        return
    with Live(console=out, auto_refresh=False) as live:
        while True:
            table = _status_table(found, all_, most=out.height - 4)
            table.caption = _counts(found)
            live.update(table, refresh=True)
            if not any(s.alive for s in found):
                return
            time.sleep(3)
            found = standings(loaded, store)


def _status_table(found: list[Standing], all_: bool, most: int | None = None) -> Table:
    order = {state: number for number, state in enumerate(("running", "preempted", "failed", "lost", "cancelled"))}
    shown = [s for s in found if all_ or s.state not in ("done", "pending") or s.text]
    shown.sort(key=lambda s: order.get(s.state, len(order)))
    rows = [
        (
            s.spec.run_id[:12],
            s.spec.label(),
            s.state,
            f"{s.step}/{s.total}" if s.total else str(s.step or ""),
            "" if s.seconds is None else report.duration(s.seconds),
            s.job,
            s.text,
        )
        for s in shown[:most]
    ]
    return _table(["run", "variant", "state", "step", "to go", "job", ""], rows)


def _counts(found: list[Standing]) -> str:
    counts = {state: sum(s.state == state for s in found) for state in STATES}
    text = "  ".join(f"{count} {state}" for state, count in counts.items() if count)
    running = [s.seconds for s in found if s.state == "running" and s.seconds is not None]
    left = sum(s.state in ("pending", "preempted", "running") for s in found)
    to_go = ""
    if running and left:
        whole = [s.seconds / max(1, s.total - s.step) * s.total for s in found if s.seconds is not None and s.total]
        waiting = (left - len(running)) * sum(whole) / max(1, len(whole))
        to_go = (
            f"; about {report.duration(max(*running, (sum(running) + waiting) / len(running), 0))} to go at this pace"
        )
    return f"{len(found)} runs: {text}{to_go}"


def logs(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the first characters of a run's id, as status shows it")],
    results: Results = Path("results"),
    follow_: Annotated[bool, typer.Option("--follow", help="go on until the run has ended")] = False,
) -> None:
    """Show what the job that makes a run has written."""
    store = Store(results)
    run_id, path = find_log(store, run)
    for text in follow(path, lambda: follow_ and not store.has(run_id)):
        out.print(text, end="", highlight=False, markup=False, soft_wrap=True)


def cancel(
    suite: SuiteName,
    results: Results = Path("results"),
    source: Sources = [],  # noqa: B006
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Cancel the jobs of a suite that wait or run. Records and checkpoints stay; launch goes on with them."""
    loaded = load(suite, source, plugin)
    cancelled = cancel_suite(loaded, Store(results))
    _say(f"cancelled {cancelled} jobs" if cancelled else "no job of this suite waits or runs")


@profile_options
def retry(
    suite: SuiteName,
    options: dict[str, Any],
    on: Place = "local",
    profile: ProfileName = None,
    extra: Extra = [],  # noqa: B006
    most: Annotated[int, typer.Option("--most", min=1, help="attempts at a run, the first one included")] = 3,
    backoff: Annotated[
        float, typer.Option("--backoff", min=0, help="seconds before the second attempt; then doubled")
    ] = 60,
    results: Results = Path("results"),
    source: Sources = [],  # noqa: B006
    plugin: Plugins = [],  # noqa: B006
    data: DataRoot = None,
    device: Device = "auto",
    workers: Workers = None,
    checkpoint_seconds: Every = 60.0,
) -> None:
    """Make the failed and lost runs of a suite again, each at most so often, and later each time."""
    asked = read_profile(on, profile, options, extra)
    loaded, store = load(suite, source, plugin), Store(results)
    store.check_writable()
    picked = pick_for_retry(standings(loaded, store), list_launches(store.root), most)
    for text in picked.explain():
        _say(text)
    if not picked.specs:
        return
    delay = int(backoff * 2 ** (picked.attempts - 1)) if picked.attempts else 0
    site = Site(store.root, device, asked.threads, data, checkpoint_seconds, tuple(plugin))
    part = picked.part_of(loaded)
    if on == "slurm":
        made = _plan(part, store, on, asked, device, data)
        _print_plan(made, on, asked, 1, _array_size(on))
        _submit(made, store, asked, site, _array_size(on), delay)
    else:
        if delay:
            _say(f"starting in {report.duration(delay)}")
            time.sleep(delay)
        start(part, store, on, asked, site, workers)


def _table(columns: list[str], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    return table
