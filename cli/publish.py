"""``sambench publish`` and ``sambench pull``: results for a static host, and back."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .. import units
from ..errors import StateError
from ..markdown import count
from ..results.records.store import Store
from .console import say, tell
from .merge import merge_folder
from .options import RESULTS, Results, results_option
from .site import write_site


def publish(
    output: Annotated[Path, typer.Argument(metavar="DIR", help="folder to write: new, empty or published before")],
    results: Results = RESULTS,
    models: Annotated[bool, typer.Option("--models/--no-models", help="with the models that are kept")] = True,
) -> None:
    """Pack results for any static host: the site, the records behind it, kept models, and a manifest of hashes."""
    from ..results.records.record import RunRecord
    from ..results.site.publication import pack, seal

    if bad := [str(one) for one in Store(results).scan() if not isinstance(one, RunRecord)]:
        raise StateError(
            f"{count(len(bad), 'record')} cannot be read; restore them or move them away: {'; '.join(bad[:3])}"
        )
    others = pack(results, output, models)
    page = write_site(results, output, records="runs/")
    manifest = seal(output, others)
    total = units.size(sum(file.size for file in manifest.files.values()))
    say(f"{count(len(manifest.files), 'file')}, {total}, in {output}; it begins at {page}")
    say(f"next, for others: sambench pull {shlex.quote(str(output))} --results pulled")


def pull(
    source: Annotated[str, typer.Argument(metavar="DIR|URL", help="what `sambench publish` wrote, here or on a host")],
    results: Results = RESULTS,
) -> None:
    """Add what others published to these results: every file held to its hash, nothing overwritten."""
    from ..results.site.publication import adopt, fetched
    from ..results.tables.tiers import VERIFICATION

    store = Store(results)
    store.check_writable()
    with fetched(source, results) as folder:
        conflicts = merge_folder(store, folder, source)
        if (folder / VERIFICATION).is_dir():
            conflicts += merge_folder(Store(results / VERIFICATION), folder / VERIFICATION, f"{source}, re-runs")
        added, same, differ = adopt(store, folder)
    say(f"{source}: {added} other files new, {same} here already, {len(differ)} left out")
    for name in differ:
        tell(f"{name} differs from the one here, which stays")
    if conflicts or differ:
        raise StateError(
            f"{count(conflicts, 'run')} and {count(len(differ), 'file')} of {source} are other than those here; "
            "these stay"
        )
    say(f"next: sambench leaderboard{results_option(results)}")
