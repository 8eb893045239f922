"""``sambench merge``: bring the records of several clusters together."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError, StateError
from ..results.records.measurement import merge_measurements
from ..results.records.merge import merge as merge_records
from ..results.records.store import Store
from .console import say, tell
from .options import RESULTS, Results


def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="DIR...", help="results folders of other clusters")],
    results: Results = RESULTS,
) -> None:
    """Add the records and measurements of other results folders to this one.

    Nothing is overwritten; different results are explained.
    """
    store, conflicts = Store(results), 0
    for source in sources:
        if not source.is_dir():
            raise ConfigError(f"{source} is not a folder of results")
    store.check_writable()
    for source in sources:
        conflicts += merge_folder(store, source, str(source))
    if conflicts:
        raise StateError(
            f"{conflicts} runs have different results in different places; the lines above say in what, and who made "
            "them. Different code, data, hardware or numbers of threads are the usual reasons. Nothing here was "
            "changed: to take the other result, move the record here away and merge again"
        )
    say(f"next: sambench validate {shlex.quote(str(results))}")


def merge_folder(store: Store, source: Path, name: str) -> int:
    """Merge a results folder, say what came of it, and return the number of conflicts.

    Args:
        store: where the records go.
        source: the folder.
        name: what it is called in messages.
    """
    merged = merge_records(store, source)
    failed = f", {merged.failed} failed attempts" if merged.failed else ""
    say(f"{name}: {merged.added} new{failed}, {merged.same} here already, {len(merged.conflicts)} conflicts")
    for problem in (*merged.conflicts, *merged.damaged):
        tell(str(problem))
    added, same, problems = merge_measurements(store, source)
    if added or same or problems:
        say(f"{name}: {added} new measurements, {same} here already, {len(problems)} left out")
    for problem in problems:
        tell(str(problem))
    return len(merged.conflicts)
