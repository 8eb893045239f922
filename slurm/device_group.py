"""One run on several devices of this machine: torchrun starts a process for each, and this module runs in them."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ..benchmarks.device import only_gpus
from ..benchmarks.distributed.rendezvous import read_environment
from ..benchmarks.training.run import run_spec_in_group
from ..benchmarks.training.signals import note_signals, noted
from ..errors import Interrupted
from ..results.records.lease import lease_status
from ..results.records.store import Store
from .events import EVENT_INTERVAL_SECONDS, Listen, RunEvent
from .options import RunOptions
from .plan import Planned


def run_on_devices(run: Planned, options: RunOptions, listen: Listen, worker: int) -> RunEvent:
    """Make a run in processes of its own, one a device, and return the event of its end.

    Args:
        run: the run.
        options: how it is made; the processes take the threads that each is given.
        listen: is told of its steps, as its lease has them.
        worker: number of this worker, which has as many GPUs as a run has devices.

    Raises:
        SambenchError: the run was refused, or a process failed or died.
    """
    from ..benchmarks.distributed.torchrun import run_under_torchrun

    if noted():  # before torchrun listens
        return RunEvent("interrupted", worker, run, text="stopped before it began")
    store, own = Store(options.results), options.gpus[worker * options.devices :][: options.devices]
    with (
        TemporaryDirectory(prefix="sambench-") as folder,
        only_gpus(own) if own else nullcontext(),
        _steps_told(run, store, listen, worker),
    ):
        order = Path(folder) / "run.json"
        order.write_text(json.dumps({"run": run.to_json(), "options": {**asdict(options), "gpus": ()}}, default=str))
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
        try:
            run_under_torchrun(options.devices, [str(order)], __name__)
        except (SystemExit, Interrupted):
            return RunEvent("interrupted", worker, run, text="stopped, with a checkpoint")
    record = store.read(run.spec.run_id)
    return RunEvent(record.status, worker, run, record.counters.steps, record.error or "")


@contextmanager
def _steps_told(run: Planned, store: Store, listen: Listen, worker: int) -> Iterator[None]:
    """Tell of the steps of a run that other processes make, inside the block."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(EVENT_INTERVAL_SECONDS):
            _, holder = lease_status(store.checkpoints(run.spec.run_id))
            listen(RunEvent("step", worker, run, holder.step if holder else 0))

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _stop_without_parent() -> None:
    """Ask this process to stop once the one that started it is gone, which could not ask any more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(EVENT_INTERVAL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(order: Path) -> None:
    """Make the run of a file as one of the processes that torchrun started."""
    from ..benchmarks.distributed.torchrun import reason_recorded

    environment = read_environment()
    with reason_recorded(environment):
        note_signals()
        _stop_without_parent()
        content = json.loads(order.read_text())
        options = content["options"]
        options = RunOptions(**{**options, "results": Path(options["results"]), "plugins": tuple(options["plugins"])})
        torch.set_num_threads(options.threads)
        options.load_plugins()
        run = Planned.from_json(content["run"])
        run_spec_in_group(
            run.spec,
            Store(options.results),
            environment,
            source=run.source,
            device=options.device,
            **options.of_a_run(),
        )


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except Interrupted:
        sys.exit(130)
