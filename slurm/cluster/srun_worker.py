"""One run by all tasks of a job step: a process for each device, started by srun."""

import os
import sys
import traceback
from collections.abc import Callable

from ...benchmarks.distributed.rendezvous import DistributedEnvironment
from ...benchmarks.training.run import run_spec_in_group
from ...errors import Interrupted
from ...results.records.lease import Held
from ...results.records.store import Store
from ..events import Listen, RunEvent, report_steps
from ..options import RunOptions
from ..plan import Planned


def run_as_worker(
    run: Planned, options: RunOptions, environment: DistributedEnvironment, listen: Listen, requeue: Callable[[], None]
) -> dict[str, str]:
    """Make a run as one of the tasks of this job step, and return how it ended.

    All tasks get the signal that announces the time limit, and agree on the step after which they stop; the task of
    rank 0 asks for the requeue. A run that fails ends the process at once, for the others may wait for a message of it.

    Args:
        run: the same in every task.
        options: how it is made: results folder, data folder, device, time between checkpoints.
        environment: rank of this task and number of tasks.
        listen: called with the events of the run, in the task of rank 0 only.
        requeue: asks for another start of the job; it does not return.

    Returns:
        run id -> how the run ended.
    """
    tell = listen if environment.rank == 0 else _nobody
    tell(RunEvent("started", 0, run))
    try:
        record = run_spec_in_group(
            run.spec,
            Store(options.results),
            environment,
            source=run.source,
            device=options.device,
            watch=report_steps(tell, 0, run),
            **options.of_a_run(),
        )
        event = RunEvent(record.status, 0, run, record.counters.steps, record.error or "")
    except Interrupted as stop:
        tell(RunEvent("interrupted", 0, run, text=str(stop)))
        if environment.rank == 0:
            requeue()
        sys.exit(int(environment.rank == 0))  # srun kills all tasks when one fails, and rank 0 is still at work
    except Held as error:
        event = RunEvent("held", 0, run, text=str(error))
    except Exception as error:
        tell(RunEvent("failed", 0, run, text=f"{type(error).__name__}: {error}"))
        traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    tell(event)
    return {run.spec.run_id: event.kind}


def _nobody(event: RunEvent) -> None:
    """Drop an event: the task of rank 0 reports for all."""
