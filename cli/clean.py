"""``sambench clean``: free the room of what no result depends on."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .. import units
from ..results.records.store import Store
from .console import grid, out, say
from .options import RESULTS, Results, results_option

if TYPE_CHECKING:
    from ..slurm.clean import Leftover


def clean(
    results: Results = RESULTS,
    tuning: Annotated[bool, typer.Option("--tuning", help="trials that a ledger has, and their checkpoints")] = False,
    launches: Annotated[bool, typer.Option("--launches", help="jobs, logs and code of launches that ended")] = False,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="of runs that nobody makes now")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="remove without asking")] = False,
) -> None:
    """List what could be removed from a results folder, or remove it. Records of results are never touched.

    What a process or a job uses stays. Without a kind all kinds are listed, and nothing is removed.
    """
    from ..slurm.clean import KINDS, leftovers, remove

    asked = {"tuning": tuning, "launches": launches, "checkpoints": checkpoints}
    kinds = [kind for kind, chosen in asked.items() if chosen]
    found = [one for kind in kinds or KINDS for one in leftovers(Store(results), kind)]
    free = [one for one in found if not one.kept]
    if found:
        out.print(grid(["", "number", "size"], _rows(found)))
    room = units.size(sum(one.bytes for one in free))
    if not free:
        say(f"nothing to remove in {results}")
    elif not kinds:
        say(f"{room} could be freed; next: sambench clean --checkpoints{results_option(results)}, or another kind")
    elif not (yes or (sys.stdin.isatty() and typer.confirm(f"remove {room}?"))):
        chosen = " ".join(f"--{kind}" for kind in kinds)
        say(f"nothing was removed; next: sambench clean {chosen} --yes{results_option(results)}")
    else:
        gone = [one for one in free if remove(one)]
        say(f"removed {len(gone)} of {len(found)}, {units.size(sum(one.bytes for one in gone))}")


def _rows(found: "Sequence[Leftover]") -> list[tuple[str, str, str]]:
    groups: dict[str, list[int]] = {}
    for one in found:
        groups.setdefault(f"{one.what}, kept ({one.kept})" if one.kept else one.what, []).append(one.bytes)
    return [(what, f"{len(sizes):,}", units.size(sum(sizes))) for what, sizes in groups.items()]
