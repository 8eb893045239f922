"""``sambench doctor``: can this machine make runs?"""

from rich.text import Text

from ..errors import StateError
from .console import grid, out, say
from .options import RESULTS, Results

STYLES = {"ok": "green", "note": "yellow", "broken": "bold red"}


def doctor(results: Results = RESULTS) -> None:
    """Look at all that runs depend on: torch, GPU, bf16, threads, SLURM, cache, disk. Fails if something is broken."""
    from ..slurm.doctor import examine

    found = examine(results)
    out.print(grid(["", "", ""], [(one.name, Text(one.state, STYLES[one.state]), one.text) for one in found]))
    if broken := sorted({one.name for one in found if one.state == "broken"}):
        raise StateError(f"broken here: {', '.join(broken)}; the lines above say how")
    say("nothing is broken; next: sambench quickstart")
