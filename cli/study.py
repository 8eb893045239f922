"""Put claims of the literature to a test: what is predicted before the runs, and what they say."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from .console import facts, listing, out, say, tell
from .executor_options import executor_words, read_executor
from .model_options import made_of_options
from .options import (
    RESULTS,
    DataRoot,
    Plugins,
    Results,
    Sources,
    check_own,
    open_suite,
    results_option,
    run_options,
    typed,
)

if TYPE_CHECKING:
    from ..benchmarks.studying.registry import Study
    from ..benchmarks.suites.suite import Suite
    from ..datasets.source import Source
    from ..slurm.executor import Executor

app = typer.Typer(help=(__doc__ or "").partition("\n")[0], no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="STUDY", help="see `sambench study list`")]
Scale = Annotated[
    str, typer.Option("--scale", metavar="cpu|gpu", help="cpu: the study's suite; gpu: that of the papers' size")
]


@app.command("list")
def list_(results: Results = RESULTS, plugin: Plugins = None) -> None:
    """List the claims with what the runs in a results folder say of them."""
    from ..benchmarks.studying.judging import judge_all
    from ..results.records.store import Store
    from ..results.tables.boards import gather

    if not Store(results).run_ids():
        tell(f"there are no records in {results}: --results names a folder that has some")
    rows = [(one.study.name, one.verdict, one.study.claim) for one in judge_all(gather(Store(results)))]
    out.print(listing(["study", "verdict", "claim"], rows))
    say(f"next: sambench study describe {rows[0][0]}{typed(plugin)}{results_option(results)}")


@app.command()
def describe(name: Name, scale: Scale = "cpu", results: Results = RESULTS, plugin: Plugins = None) -> None:
    """Say what a study claims, predicts and found."""
    from ..benchmarks.studying.evidence import Evidence
    from ..benchmarks.studying.judging import judge, precedes
    from ..benchmarks.studying.page import DIVERGED, interval
    from ..benchmarks.suites.suite import load_suite
    from ..results.records.store import Store

    one = _study(name)
    suite = _suite_name(one, scale)
    evidence = Evidence.of(results, suite)
    judged = judge(one, evidence)
    finding = judged.finding
    known = judged.registered and precedes(evidence, Store(results))
    predicted = "predicted before the runs" if known else "prediction, not known to precede its runs"
    if evidence.board is None:
        predicted = "prediction"
    rows = [
        ("claim", one.claim),
        ("papers", "; ".join(one.papers)),
        *(
            [("tested here", one.setting), ("differs from the papers", one.departs)]
            if scale == "cpu"
            else [("tested at the papers' size", load_suite(suite).title)]
        ),
        (predicted, " ".join(judged.prediction.split())),
        ("rule", one.stated_rule),
        ("measured", _measured(one, scale)),
        ("suite", suite + (f"; at the papers' size: {one.scaled}" if one.scaled and scale == "cpu" else "")),
        ("verdict", ": ".join(filter(None, (judged.verdict, judged.reason)))),
        *([("diverged", f"{', '.join(judged.diverged)}. {DIVERGED}")] if judged.diverged else []),
    ]
    rows += [(part.case, interval(part.verdict, one.unit)) for part in finding.parts] if finding else []
    out.print(facts(rows))
    words = "study page" if finding and scale == "cpu" else _to_run(one, scale, _suite(one, scale, results, None))
    say(f"next: sambench {words}{typed(plugin)}{results_option(results)}")


@app.command()
@made_of_options(executor=read_executor)
def plan(
    name: Name,
    executor: "Executor",
    context: typer.Context,
    scale: Scale = "cpu",
    results: Results = RESULTS,
    source: Sources = None,
    plugin: Plugins = None,
    data: DataRoot = None,
) -> None:
    """Print what the runs of a study cost. Starts nothing."""
    from ..slurm.launch import plan_suite
    from .plan import print_plan

    options = executor.fit(run_options(results, data, plugin))
    one = _study(name)
    suite = _suite(one, scale, results, source)
    print_plan(plan_suite(suite, options, executor), executor)
    words = executor_words(context) + typed(plugin, source, data) + results_option(results)
    say(f"next: sambench {_to_run(one, scale, suite)}{words}")


@app.command()
@made_of_options(executor=read_executor)
def run(
    name: Name,
    executor: "Executor",
    scale: Scale = "cpu",
    results: Results = RESULTS,
    source: Sources = None,
    plugin: Plugins = None,
    data: DataRoot = None,
) -> None:
    """Make the runs that a study lacks, after its prediction was written; measure them; then say what they show."""
    from ..benchmarks.measuring.measurements import MeasuringOptions, plan_measurements
    from ..benchmarks.measuring.registry import read_requests
    from ..errors import SambenchError
    from ..slurm.launch import launch_suite
    from .launch import report, show
    from .measure import measure_here

    one = _study(name)
    suite = _suite(one, scale, results, source)
    ended = launch_suite(suite, results, executor, data_root=data, plugins=plugin or (), watch=show)
    words = f"{typed(plugin, source)}{results_option(results)}"
    report(ended, suite.place, words, executor.name)
    measures = one.measures if scale == "cpu" else one.measures_at_scale
    points = (*one.points, None) if measures else ()
    if executor.name == "slurm":
        for point in points:
            epoch = "" if point is None else f" --epoch {point}"
            say(f"then: sambench measure {shlex.quote(suite.place)} --what {measures}{epoch}{words}")
        return
    failed = list[SambenchError]()
    for point in points:
        options = MeasuringOptions(
            results,
            epoch=point,
            device=executor.fit(run_options(results, data, plugin)).device,
            data_root=data,
            sources=suite.sources,
            plugins=(*(plugin or ()), *suite.plugins),
        )
        requests = read_requests([measures])
        try:
            measure_here(plan_measurements(suite.run_ids, requests, options), requests, options, executor)
        except SambenchError as error:  # the other points are measured all the same
            failed.append(error)
    if failed:
        raise failed[0]
    describe(name, scale, results, plugin)


@app.command()
def page(
    results: Results = RESULTS,
    output: Annotated[
        Path | None, typer.Option("--output", help="the file to write \\[default: STUDIES.md in the results]")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option("--summary", help="a Markdown page that has marks for a line a verdict, too")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="write nothing; fail if a file is stale")] = False,
    plugin: Plugins = None,
) -> None:
    """Write every claim with its prediction and verdict, byte for byte the same for the same records."""
    from ..benchmarks.studying.judging import judge_all
    from ..benchmarks.studying.page import COMMAND, with_summary
    from ..benchmarks.studying.page import page as written
    from ..reading import read_text
    from ..results.leaderboard import render as boards
    from ..results.tables.boards import gather
    from .leaderboard import filled

    check_own(None if check else output, f"`{COMMAND}` builds this page")
    found = judge_all(gather(filled(results)))
    pages = {output or results / "STUDIES.md": written(found)}
    if summary:
        pages[summary] = with_summary(read_text(summary), found)
    shown = " and ".join(map(str, pages))
    if check:
        named = "".join(f" --{key} {path}" for key, path in (("output", output), ("summary", summary)) if path)
        for path, text in pages.items():
            boards.check({path: text}, f"{COMMAND}{results_option(results)}{named}")
        say(f"{shown}: up to date")
    else:
        boards.write(pages)
        say(f"wrote {shown}; next: sambench site{results_option(results)}")


def _measured(one: "Study", scale: str) -> str:
    measures = one.measures if scale == "cpu" else one.measures_at_scale
    points = f", after {', '.join(map(str, one.points))} epochs and at the end" if one.points else ""
    return f"{measures}{points}" if measures else "nothing beside test errors"


def _study(name: str) -> "Study":
    from ..benchmarks.studying.registry import STUDIES

    return STUDIES.get(name)


def _suite(one: "Study", scale: str, results: Path, sources: "list[Source] | None") -> "Suite":
    """Return the suite to run: the tuned one where there is one.

    Raises:
        ConfigError: there is none at this scale.
    """
    suite = _suite_name(one, scale)
    tuned = results / "suites" / f"{suite}.toml"
    if tuned.exists():
        return open_suite(str(tuned), sources)
    return open_suite(one.place if scale == "cpu" else suite, sources)


def _suite_name(one: "Study", scale: str) -> str:
    if scale not in ("cpu", "gpu"):
        raise ConfigError(f"--scale {scale!r} is not valid; cpu or gpu")
    if scale == "gpu" and not one.scaled:
        raise ConfigError(f"study {one.name!r} has no suite at the papers' size: leave out --scale gpu")
    return one.scaled if scale == "gpu" else one.suite


def _to_run(one: "Study", scale: str, suite: "Suite") -> str:
    """Return the command that makes the runs of a study, or the tuning that comes first."""
    if suite.budget is not None:
        return f"tune {shlex.quote(suite.place)}"
    return f"study run {one.name}" + ("" if scale == "cpu" else f" --scale {scale}")
