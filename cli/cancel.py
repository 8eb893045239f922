"""``sambench cancel``: cancel the jobs of a suite."""

from ..benchmarks.suites.index import suite_index
from ..results.records.store import Store
from ..slurm.cluster.cancel import cancel_suite
from .console import say
from .options import RESULTS, Plugins, Results, Sources, SuiteName


def cancel(
    suite: SuiteName,
    results: Results = RESULTS,
    source: Sources = None,
    plugin: Plugins = None,
) -> None:
    """Cancel the jobs of a suite that wait or run. Records and checkpoints stay; launch goes on with them."""
    cancelled = cancel_suite(suite_index(suite, source or (), plugin or ()).name, Store(results))
    say(f"cancelled {cancelled} jobs" if cancelled else "no job of this suite waits or runs")
