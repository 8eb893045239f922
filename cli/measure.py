"""``sambench measure``: sharpness, robustness and other measures of trained networks."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import units
from ..errors import ConfigError, SambenchError
from ..markdown import count
from .console import err, facts, out, say, tell
from .executor_options import executor_words, read_executor
from .model_options import made_of_options
from .options import RESULTS, DataRoot, Plugins, Results, Sources, open_suite, results_option, typed
from .progress import measuring_progress

if TYPE_CHECKING:
    from ..benchmarks.measuring.measurements import MeasuringOptions, MeasuringPlan, RunMeasured
    from ..benchmarks.measuring.registry import Request
    from ..datasets.source import Source
    from ..slurm.executor import Executor, SlurmExecutor

What = Annotated[
    list[str],
    typer.Option(
        "--what",
        metavar="MEASURE[:NAME=VALUE...],...",
        help="measures or groups of them, as in sharpness,pgd:epsilon=2; see sambench list measures",
    ),
]


@made_of_options(executor=read_executor)
def measure(
    executor: "Executor",
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="SUITE|RUN", help="a suite, or the first digits of a run's id")],
    what: What,
    results: Results = RESULTS,
    epoch: Annotated[
        int | None, typer.Option("--epoch", min=0, help="weights after so many epochs, of --keep weights@N")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="make models that are not kept again, by their runs; checked to the bit")
    ] = False,
    plan_only: Annotated[bool, typer.Option("--plan", help="say what there is to do, and start nothing")] = False,
    source: Sources = None,
    plugin: Plugins = None,
    data: DataRoot = None,
) -> None:
    """Measure the kept models of a suite or of a run. What was measured before is not measured again.

    Every value is a record of its own beside those of the runs, with all settings; docs/measures.md says what each
    means. Here in one process, or in so many --workers; with --on slurm as job arrays.
    """
    from ..benchmarks.measuring.measurements import MeasuringOptions, plan_measurements
    from ..benchmarks.measuring.registry import read_requests
    from ..slurm.executor import LocalExecutor, SlurmExecutor
    from ..slurm.options import RunOptions

    if isinstance(executor, LocalExecutor) and executor != LocalExecutor(
        executor.device_name, workers=executor.workers
    ):
        raise ConfigError("measuring takes one thread a process here, and one device: leave out all but --workers")
    requests = read_requests(what)
    run_ids, sources, plugins = _runs(target, results, source)
    options = MeasuringOptions(
        results,
        epoch=epoch,
        rebuild=rebuild,
        device=executor.fit(RunOptions(results)).device,
        data_root=data,
        sources=sources,
        plugins=(*(plugin or ()), *plugins),
    )
    plan = plan_measurements(run_ids, requests, options)
    _print_plan(plan, len(run_ids), rebuild)
    words = shlex.quote(target) + executor_words(context, "what", "epoch", "rebuild")
    words += typed(plugin, source, data) + results_option(results)
    if plan_only:
        say(f"next: sambench {f'measure {words}' if plan.todo else f'leaderboard{results_option(results)}'}")
        return
    if isinstance(executor, SlurmExecutor):
        _submit(plan, target, options, executor)
        say(f"next: sambench measure {words} --plan")
        return
    measure_here(plan, requests, options, executor, single=len(run_ids) == 1)
    say(f"next: sambench leaderboard{results_option(results)}")


def measure_here(
    plan: "MeasuringPlan",
    requests: "list[Request]",
    options: "MeasuringOptions",
    executor: "Executor",
    single: bool = False,
) -> None:
    """Make the measurements of a plan on this machine, and say what came of them.

    Args:
        plan: of these requests.
        requests: what is measured.
        options: results folder, data, device.
        executor: that of this machine; it says how many processes there are at a time.
        single: whether to print every value.

    Raises:
        SambenchError: something failed, or nothing could be measured at all.
    """
    from ..benchmarks.measuring.measurements import measure_runs
    from ..slurm.executor import LocalExecutor

    workers = 1
    if isinstance(executor, LocalExecutor):  # processes share a GPU's memory: several there only where that is asked
        workers = executor.workers or (1 if executor.cards else executor.at_once)
    with measuring_progress(err, len(plan.todo)) as listen:
        measured = measure_runs(plan.todo, requests, options, workers=workers, listen=listen)
    _report(measured, plan, single)


def _runs(
    target: str, results: Path, sources: "list[Source] | None"
) -> "tuple[tuple[str, ...], tuple[Source, ...], tuple[str, ...]]":
    """Return the ids of the runs that are meant, where their data sets lie, and the plug-ins of their suite."""
    from ..benchmarks.suites.files import list_suites
    from ..results.records.models import find_run
    from ..results.records.store import Store

    if re.fullmatch("[0-9a-f]{6,64}", target) and target not in list_suites():
        return (find_run(Store(results), target),), tuple(sources or ()), ()
    if re.fullmatch("[0-9a-f]{1,5}", target) and target not in list_suites():
        raise ConfigError(f"{target!r} is no suite; of the id of a run give six digits at least")
    suite = open_suite(target, sources)
    return suite.run_ids, suite.sources, suite.plugins


def _submit(plan: "MeasuringPlan", target: str, options: "MeasuringOptions", executor: "SlurmExecutor") -> None:
    from ..slurm.cluster.measuring import submit_measuring

    if not plan.todo:
        return
    launch = submit_measuring(plan, Path(target).stem, options, executor.profile, say)
    if launch:
        say(f"nothing depends on this terminal any more; logs in {launch.jobs_folder}")


def _print_plan(plan: "MeasuringPlan", runs: int, rebuild: bool) -> None:
    rows = [
        ("runs", str(runs)),
        ("measurements there already", str(plan.done)),
        ("to do", f"{sum(map(len, plan.todo.values()))} of {count(len(plan.todo), 'run')}"),
    ]
    if rebuild:
        rows.append(
            ("models to make again", f"{len(plan.missing)}, {units.duration(plan.rebuild_seconds)} of training")
        )
    out.print(facts(rows))
    for line in plan.skipped[:5]:
        tell(("left out: ", "yellow"), line)
    if len(plan.skipped) > 5:
        tell(("left out: ", "yellow"), f"{len(plan.skipped) - 5} more runs")


def _report(measured: "list[RunMeasured]", plan: "MeasuringPlan", single: bool) -> None:
    """Say what came of it; of a single run, every value.

    Raises:
        SambenchError: something failed, or nothing could be measured at all.
    """
    made = [one for run in measured for one in run.made]
    if single:
        rows = [
            (f"{one.label} {key}", "" if v is None else f"{v:.6g}") for one in made for key, v in one.values.items()
        ]
        out.print(facts(rows))
    say(f"{count(len(made), 'measurement')} made in {units.duration(sum(one.seconds for one in made))} of computing")
    for line in dict.fromkeys(line for run in measured for line in run.not_applicable):
        tell(("not defined here: ", "yellow"), line)
    failed = [line for run in measured for line in run.failed]
    for line in failed[:10]:
        tell(("failed: ", "red"), line)
    if failed:
        raise SambenchError(f"{count(len(failed), 'measurement')} failed; the same command tries them again")
    if plan.skipped and not made and not plan.done:
        raise SambenchError("nothing could be measured; the lines above say why")
