"""One run by all tasks of a job: a process for each device, started by srun, which find each other by its variables."""

import os
import socket
import sys
import traceback
from collections.abc import Callable

from ...benchmarks.distributed.rendezvous import DistributedEnvironment, rendezvous
from ...benchmarks.training.run import run_spec
from ...errors import Interrupted
from ...results.records.lease import Held
from ...results.records.store import Store
from ..events import Listen, RunEvent, report_steps
from ..options import RunOptions
from ..plan import Planned


def run_together(
    run: Planned, options: RunOptions, seat: DistributedEnvironment, listen: Listen, requeue: Callable[[], None]
) -> dict[str, str]:
    """Be one task of a run on several devices, and return how the run ended.

    All tasks of a step get the signal that announces its end, and agree on the step after which they stop; the first
    one asks for the requeue. A run that fails ends the process at once, for the others may wait for a message of it.

    Args:
        run: the same in every task.
        site: how it is made.
        seat: which task this is.
        listen: hears of the run, in the first task only.
        requeue: asks for another start of the job; it does not return.
    """
    if os.environ.get("SLURM_JOB_NUM_NODES", "1") == "1":  # the name of a node need not resolve, nor is it needed
        for name in [name for _, name in socket.if_nameindex() if name.startswith("lo")][:1]:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    tell = listen if seat.rank == 0 else _nobody
    tell(RunEvent("started", 0, run))
    try:
        with rendezvous(seat, options.results / "meetings") as process_group:
            record = run_spec(
                run.spec,
                Store(options.results),
                source=run.source,
                data_root=options.data_root,
                device=seat.device(options.device),
                checkpoint_seconds=options.checkpoint_seconds,
                watch=report_steps(tell, 0, run),
                process_group=process_group,
            )
        event = RunEvent(record.status, 0, run, record.counters.steps, record.error or "")
    except Interrupted as stop:
        tell(RunEvent("interrupted", 0, run, text=str(stop)))
        if seat.rank == 0:
            requeue()
        sys.exit(int(seat.rank == 0))  # srun kills all tasks when one fails, and the first one is still at work
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
    """Hear nothing: one task speaks for all."""
