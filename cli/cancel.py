"""``sambench cancel``: stop the runs of a suite, here and on a cluster."""

import shlex

from ..benchmarks.suites.index import suite_index
from ..markdown import count
from ..results.records.store import Store
from ..slurm.cluster.cancel import cancel_suite
from ..slurm.stop import stop_local_runs
from .console import say, tell
from .options import RESULTS, Plugins, Results, Sources, SuiteName, results_option, typed


def cancel(
    suite: SuiteName,
    results: Results = RESULTS,
    source: Sources = None,
    plugin: Plugins = None,
) -> None:
    """Cancel the jobs of a suite that wait or run, and stop the runs that this machine makes.

    Records and checkpoints stay; launch goes on with them.
    """
    index, store = suite_index(suite, source or (), plugin or ()), Store(results)
    stopped, elsewhere = stop_local_runs(index.run_ids, store)
    if stopped:
        say(f"asked {stopped} processes of this machine to write a checkpoint and stop")
    cancelled = cancel_suite(index.name, index.run_ids, store)
    if cancelled:
        say(f"cancelled {count(cancelled, 'job')}")
    if elsewhere:
        say(f"runs are being made on {', '.join(elsewhere)}: cancel them there")
    if not (stopped or cancelled or elsewhere):
        say("no job or process of this suite waits or runs")
    tell(f"next: sambench status {shlex.quote(suite)}{typed(plugin, source)}{results_option(results)}")
