"""``sambench status``: the state of every run of a suite."""

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from .. import units
from ..benchmarks.suites.draft import Changes, draft
from ..benchmarks.suites.files import SUITES
from ..benchmarks.suites.index import suite_index
from ..errors import StateError
from ..markdown import count
from ..results.records.manifest import FOLDER
from ..results.records.place import command
from ..results.records.store import Store
from ..slurm.resources import tell_full
from ..slurm.run_status import STATES, RunStatus
from ..slurm.status import run_statuses
from .console import listing, out, say, tell
from .model_options import made_of_options
from .options import RESULTS, Plugins, Results, Sources, SuiteOrVariants, read_changes, results_option, typed
from .watch import watch as watch_runs

MAX_LISTED_PER_STATE = 40
"""Runs of one state, for one reason, that are listed one by one without ``--all``."""


@made_of_options(changes=read_changes)
def status(
    changes: Changes,
    suite: SuiteOrVariants = None,
    results: Results = RESULTS,
    source: Sources = None,
    plugin: Plugins = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="a line a run, with its curve, until all have ended or none is made",
        ),
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="list every run, also those that are done or alike")] = False,
) -> None:
    """Show the state of every run of a suite, also of one that `launch` put together from the same options."""
    if (made := draft(suite, changes)) is not None:
        suite = str(made.path(results))
        if not Path(suite).is_file():
            raise StateError(f"nothing was launched of it yet: `{made.command}{results_option(results)}`")
    assert suite is not None  # or there would be a draft
    index, store = suite_index(suite, source or (), plugin or ()), Store(results)
    if final := tuned_as(suite, results):
        say(f"the runs of {index.name} are those of its tuned suite: {command('status', str(final), results)}")
    if watch:
        found = watch_runs(lambda: run_statuses(index, store), counts)
    else:
        found = run_statuses(index, store)
        if (table := _status_table(found, all_)).row_count:
            out.print(table)
        say(counts(found))
    if any(s.state in ("failed", "lost") for s in found) and (full := tell_full(results)):
        say(full)
    if all(s.state == "done" for s in found):
        tell(f"next: sambench leaderboard{results_option(results)}")
    elif not watch:
        words = made.words if made else shlex.quote(suite)
        tell(f"next: sambench status {words} --watch{typed(plugin, source)}{results_option(results)}")


def tuned_as(suite: str, results: Path) -> Path | None:
    """Return the suite that tuning wrote for a suite that is tuned before it is run, if it is there."""
    name, content, _ = SUITES.parse(suite)
    final = results / FOLDER / f"{name}.toml"
    return final if "tuning" in content and final.is_file() else None


def _status_table(found: Sequence[RunStatus], all_: bool) -> Table:
    """Show the runs that ask for attention first; of runs that are alike, the first few and how many more there are."""
    order = {state: number for number, state in enumerate(("running", "preempted", "failed", "lost", "cancelled"))}
    shown = [s for s in found if all_ or s.state not in ("done", "pending") or s.text]
    shown.sort(key=lambda s: order.get(s.state, len(order)))
    shown, more = (shown, Counter()) if all_ else _first_few(shown)
    rows = [
        (
            s.run_id[:12],
            s.label,
            s.state,
            f"{s.step}/{s.total}" if s.total else str(s.step or ""),
            "" if s.seconds is None else units.duration(s.seconds),
            s.job,
            s.text,
        )
        for s in shown
    ]
    rows += [("", f"and {count:,} more", state, "", "", "", text) for (state, text), count in more.items()]
    return listing(["run", "variant", "state", "step", "to go", "job", ""], rows, keys=3)


def _first_few(shown: list[RunStatus]) -> tuple[list[RunStatus], Counter[tuple[str, str]]]:
    """Return the first ``MAX_LISTED_PER_STATE`` runs of each state and reason, and how many of each are left out."""
    seen: Counter[tuple[str, str]] = Counter()
    few = []
    for s in shown:
        seen[s.state, s.text] += 1
        if seen[s.state, s.text] <= MAX_LISTED_PER_STATE:
            few.append(s)
    return few, Counter(
        {kind: count - MAX_LISTED_PER_STATE for kind, count in seen.items() if count > MAX_LISTED_PER_STATE}
    )


def counts(found: Sequence[RunStatus]) -> str:
    """Say how many runs are in which state, and about how long those that are left will take."""
    numbers = {state: sum(s.state == state for s in found) for state in STATES}
    text = "  ".join(f"{count:,} {state}" for state, count in numbers.items() if count)
    running = [s.seconds for s in found if s.state == "running" and s.seconds is not None]
    left = sum(s.state in ("pending", "preempted", "running") for s in found)
    to_go = ""
    if running and left:
        whole = [s.seconds / max(1, s.total - s.step) * s.total for s in found if s.seconds is not None and s.total]
        waiting = (left - len(running)) * sum(whole) / max(1, len(whole))
        to_go = (
            f"; about {units.duration(max(*running, (sum(running) + waiting) / len(running), 0))} to go at this pace"
        )
    return f"{count(len(found), 'run')}: {text}{to_go}"
