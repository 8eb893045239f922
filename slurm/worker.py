"""One attempt at one run, the same in this process, in a worker process and in a job of a cluster."""

from collections.abc import Callable

import torch

from ..benchmarks.device import torch_threads
from ..benchmarks.training.run import run_spec
from ..errors import Interrupted, SambenchError
from ..results.records.lease import Held, LeaseLost
from ..results.records.store import Store
from .device_group import run_on_devices
from .events import Listen, RunEvent, report_steps
from .options import RunOptions
from .plan import Planned


def attempt(
    run: Planned,
    options: RunOptions,
    device: torch.device,
    listen: Listen,
    worker: int = 0,
    hand_on: Callable[[], None] = lambda: None,
) -> RunEvent:
    """Make a run and return the event of its end; every exception becomes such an event.

    Args:
        run: the run.
        options: how it is made.
        device: device that it is made on.
        listen: is told that it started, and of its steps.
        worker: number of this worker.
        hand_on: called after every step: other runs of this process have their turn.
    """
    try:
        listen(RunEvent("started", worker, run))
        options.check(device)
        if options.devices > 1:
            return run_on_devices(run, options, listen, worker)
        record = run_spec(
            run.spec,
            Store(options.results),
            source=run.source,
            device=device,
            watch=report_steps(listen, worker, run, hand_on),
            **options.of_a_run(),
        )
        return RunEvent(record.status, worker, run, record.counters.steps, record.error or "")
    except Interrupted as stop:
        return RunEvent("interrupted", worker, run, text=str(stop))
    except (Held, LeaseLost) as error:
        return RunEvent("held", worker, run, text=str(error))
    except SambenchError as error:
        return RunEvent("failed", worker, run, text=str(error))
    except (Exception, SystemExit) as error:
        return RunEvent("failed", worker, run, text=f"{type(error).__name__}: {error}")


def run_here(runs: tuple[Planned, ...], options: RunOptions, listen: Listen) -> dict[str, str]:
    """Make runs one after the other in this process; return how each ended, by run id. A signal stops the loop."""
    ended: dict[str, str] = {}
    with torch_threads(options.threads):
        device = options.prepare()
        for run in runs:
            event = attempt(run, options, device, listen)
            listen(event)
            ended[run.spec.run_id] = event.kind
            if event.kind == "interrupted":
                break
    return ended
