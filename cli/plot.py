"""`sambench plot`: the figures of a store."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..benchmarks.device import cores
from ..errors import ConfigError, StateError
from ..results.records.store import Store
from .console import err, say
from .leaderboard import good_records
from .options import RESULTS, Results, results_option
from .progress import counting_progress

if TYPE_CHECKING:
    from ..results.plots.live import LiveCurve
    from ..slurm.run_status import RunStatus


def plot(
    suites: Annotated[list[str] | None, typer.Argument(metavar="[SUITE]...", help="only these, by name")] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", help="error | cost | curves | wins | grid | tuning | profile | ranks; may be repeated"),
    ] = None,
    results: Results = RESULTS,
    output: Annotated[
        Path | None, typer.Option("--output", help="folder for the figures \\[default: figures in the results]")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="one figure of the curves so far, live.png, drawn anew while runs go on")
    ] = False,
) -> None:
    """Draw the figures: errors and their cost, learning curves, who beats whom, heat maps, profiles, tuning curves."""
    store, folder = Store(results), output or results / "figures"
    if live:
        if kinds:
            raise ConfigError("--kind has no effect with --live, which draws the curves so far; leave one out")
        _draw_live(store, suites or (), folder)
        return
    from ..results import plots
    from ..results.tables.boards import gather

    with counting_progress(err, "figures") as listen:
        paths = plots.draw(
            gather(store),
            good_records(store),
            folder,
            suites=suites or (),
            kinds=kinds or (),
            workers=cores(),
            listen=listen,
        )
    for path in paths:
        say(str(path))
    say(f"next: sambench site{results_option(results)}")


def _draw_live(store: Store, suites: Sequence[str], folder: Path) -> None:
    """Show runs as ``status --watch`` does, and draw their curves whenever one has grown."""
    from ..benchmarks.suites.index import SuiteIndex
    from ..results.plots.live import LiveCurve, live_figure, watched_runs
    from ..results.plots.style import save
    from ..slurm.status import run_statuses
    from .status import counts
    from .watch import watch

    ended: dict[str, LiveCurve] = {}
    drawn: list[tuple[str, int]] = []

    ids = tuple(watched_runs(store, suites))
    index = SuiteIndex("", ids, tuple(run[:12] for run in ids))

    def look() -> "Sequence[RunStatus]":
        found = run_statuses(index, store)
        found = [replace(s, label=s.curve[-1].label) if s.curve else s for s in found]
        for s in found:
            if s.state in ("done", "diverged") and s.run_id not in ended:
                with suppress(StateError):  # damaged: the boards say so
                    ended[s.run_id] = _of_record(store, s.run_id)
        shown = [ended.get(s.run_id) or LiveCurve(s.label, s.state == "running", s.curve) for s in found]
        if (now := [(curve.label, len(curve.points)) for curve in shown]) != drawn and any(c.points for c in shown):
            paths = save(live_figure(shown, ": ".join([*suites, counts(found)])), folder / "live")
            if not drawn:
                say(str(paths[0]))
            drawn[:] = now
        return found

    watch(look, counts)


def _of_record(store: Store, run_id: str) -> "LiveCurve":
    from ..benchmarks.spec import RunSpec
    from ..results.plots.live import LiveCurve

    record = store.read(run_id)
    label = f"{record.spec['variant']} seed {record.spec['seed']}"
    with suppress(ConfigError):  # of a plug-in that is not here
        label = RunSpec.model_validate(record.spec).label()
    return LiveCurve(label, False, record.curve)
