"""`sambench cancel`: take jobs back."""

from ..results.records.store import Store
from ..slurm.cluster.cancel import cancel_suite
from .console import say
from .options import RESULTS, Plugins, Results, Sources, SuiteName, open_suite


def cancel(
    suite: SuiteName,
    results: Results = RESULTS,
    source: Sources = None,
    plugin: Plugins = None,
) -> None:
    """Cancel the jobs of a suite that wait or run. Records and checkpoints stay; launch goes on with them."""
    loaded = open_suite(suite, source)
    cancelled = cancel_suite(loaded, Store(results))
    say(f"cancelled {cancelled} jobs" if cancelled else "no job of this suite waits or runs")
