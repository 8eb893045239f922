"""From a suite to its records: what the command line, the quickstart, the tuner and a notebook call."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from ..benchmarks.suites.preregistration import check_ready, preregister
from ..benchmarks.suites.suite import Suite, load_suite
from ..benchmarks.training.loggers import check_loggers
from ..benchmarks.training.made_with import retire_outdated
from ..errors import Interrupted, SambenchError
from ..results.records.store import Store
from .events import FINAL, Listen, RunEvent
from .executor import Executor, make_executor
from .options import RunOptions
from .plan import Plan
from .planning import make_plan
from .status import run_statuses

Watch = Callable[[Plan, Executor], AbstractContextManager[Listen]]
"""Called with the plan before anything starts; the context gives the function that receives the events of its runs."""


@contextmanager
def silent(plan: Plan, executor: Executor) -> Iterator[Listen]:
    """Show nothing."""

    def listen(event: RunEvent) -> None:
        """Ignore the event."""

    yield listen


def launch_suite(
    suite: Suite | str | Path,
    store: Store | str | Path,
    executor: Executor | str = "local",
    *,
    data_root: str | None = None,
    plugins: Sequence[str] = (),
    checkpoint_seconds: float = 60.0,
    keep: str = "",
    log_to: str = "",
    cuda_graph: bool = False,
    compiler: str | None = None,
    command: str = "",
    anew: bool = False,
    watch: Watch = silent,
) -> dict[str, str]:
    """Run what is missing of a suite, after its manifest was written.

    Runs in the store are skipped, those that are being made elsewhere too; interrupted ones resume, and one that fails
    never stops another. ``local`` starts processes that import the calling script: call it under
    ``if __name__ == "__main__":`` there (a notebook needs nothing).

    Args:
        suite: a suite, the name of a shipped one, or the path of a TOML file.
        store: results folder for records and checkpoints, as a path or a :class:`Store`.
        executor: where the runs are made; by name with its default settings.
        data_root: folder of downloaded data sets.
        plugins: Python files that register what the suite names.
        checkpoint_seconds: least time between two checkpoints of a run.
        keep: what of the weights is kept: ``weights``, or ``weights@0,10,50%`` with points on the way; by default what
            the suite says.
        log_to: loggers that are told of the epochs (``tensorboard``, ``wandb``), with commas between them.
        cuda_graph: record steps as CUDA graphs, where that is possible.
        compiler: backend of ``torch.compile`` for the passes of training, such as ``inductor``; None for none.
        command: what a reader would type to make the runs, for the manifest.
        anew: make again what was made or begun with other code; see :func:`.retire.retire`.
        watch: shows the plan and what becomes of it.

    Returns:
        How each run that was missing ended, by run id: ``completed``, ``diverged``, ``failed``, ``lost``,
        ``interrupted``, ``held`` (being made elsewhere), or ``submitted`` to a cluster.

    Raises:
        ConfigError: the suite, the executor or a plug-in cannot be used, or a tuning or calibration has to come first.
        StateError: the results folder cannot be written, or runs that are done would be left out of the manifest.
        Interrupted: a signal came; checkpoints are written, and the same call resumes.

    Example:
        >>> import tempfile
        >>> suite = load_suite("quickstart")
        >>> one = replace(suite, specs=suite.specs[:1])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ended = launch_suite(one, folder, "debug")
        >>> set(ended.values())
        {'completed'}
    """
    store = store if isinstance(store, Store) else Store(store)
    options = RunOptions(
        store.root,
        data_root=data_root,
        checkpoint_seconds=checkpoint_seconds,
        plugins=tuple(plugins),
        keep=keep,
        log_to=log_to,
        cuda_graph=cuda_graph,
        compiler=compiler,
    )
    options.load_plugins()
    check_loggers(log_to)
    suite = suite if isinstance(suite, Suite) else load_suite(str(suite))
    check_ready(suite, store)
    store.check_writable()
    preregister(suite, store, command or f"sambench launch {suite.name}")
    if anew:
        retire_outdated(((spec, suite.source(spec)) for spec in suite.specs), store)
    return carry_out(suite, options, make_executor(executor) if isinstance(executor, str) else executor, watch)


def plan_suite(suite: Suite, options: RunOptions, executor: Executor) -> Plan:
    """Return what a suite lacks and what that costs where the executor makes it; writes nothing."""
    store = Store(options.results)
    alive = {status.run_id for status in run_statuses(suite, store, time.time()) if status.alive}
    keep = replace(options, keep=options.keep or suite.keep).what_to_keep()
    gpu = getattr(executor, "gpu_model", "")
    return make_plan(suite, store, executor.device(), options.data_root, alive, keep, gpu)


def carry_out(suite: Suite, options: RunOptions, executor: Executor, watch: Watch = silent) -> dict[str, str]:
    """Make the missing runs of a suite whose manifest is written, and return how they ended, by run id."""
    timed = next((track.calibration for track in suite.resolved_tracks if track.calibration), None)
    options = replace(options, plugins=tuple(dict.fromkeys((*options.plugins, *suite.plugins))))
    if timed is not None:  # track T: one run at a time, as it was calibrated
        executor = executor.alone(timed.threads)
        options = replace(options, device_name=timed.device_name, host=timed.host)
    options = executor.fit(replace(options, keep=options.keep or suite.keep))
    plan = plan_suite(suite, options, executor)
    executor.check(plan, options.results)
    with watch(plan, executor) as listen:
        return executor.run(plan, options, listen) if plan.runs else {}


def check_ended(ended: dict[str, str]) -> None:
    """Raise what a caller that cannot look at the outcome of every run has to know.

    Raises:
        Interrupted: a signal stopped some runs.
        SambenchError: some runs have no final record.
    """
    kinds = list(ended.values())
    if "interrupted" in kinds:
        raise Interrupted(f"{len(kinds) - kinds.count('interrupted')} of {len(kinds)} runs ended")
    if bad := sum(kind not in (*FINAL, "held", "submitted") for kind in kinds):
        raise SambenchError(f"{bad} of {len(kinds)} runs have no final record; the same command tries them again")
