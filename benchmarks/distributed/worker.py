"""One process of a run that several make together, whoever started it: torchrun, srun, or this package itself."""

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

import torch

from ...datasets.source import Source
from ...errors import Interrupted, SambenchError
from ...results.records.record import RunRecord
from ...results.records.store import Store
from ...variants import load_plugin
from ..device import pick_device
from ..spec import RunSpec
from ..training.run import run_spec
from ..training.state import Advance, TrainState
from .rendezvous import read_environment, rendezvous

TICK = 0.5
"""Seconds between two reports of progress."""


def run_spec_in_group(spec: RunSpec, store: Store, *, device: str = "auto", **how: Any) -> RunRecord:
    """Make a run as one of the processes that ``torchrun``, ``srun`` or :func:`execute_on` started; alone if none did.

    Each process of the job calls this alike, and each returns the record. A job that makes several runs joins once, by
    :func:`~sambench.benchmarks.distributed.rendezvous.meet`, and gives the team to
    :func:`~sambench.benchmarks.training.run.execute`. A
    process in which this raised has to end, for the others may wait for it.

    Args:
        spec: the run.
        store: where records and checkpoints lie, seen by all processes.
        device: ``auto``, ``cuda`` or ``cpu``; each process of a machine takes a GPU of its own.
        **how: further arguments of ``execute``.
    """
    seat = read_environment()
    with rendezvous(seat, store.root / "meetings") as process_group:
        return run_spec(
            spec, store, device=seat.device(device) if seat else pick_device(device), process_group=process_group, **how
        )


@dataclass(frozen=True)
class Job:
    """What a process has to know, as plain data; fields as in :func:`sambench.benchmarks.training.run.execute`."""

    spec: dict[str, Any]
    results: str
    source: dict[str, str] | None
    data_root: str | None
    device: str
    checkpoint_seconds: float
    plugins: tuple[str, ...]
    threads: int


def member() -> None:
    """Be one process of a run: read the job, make it together with the others, say how it ended, and leave."""
    job = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_stop_without_parent, daemon=True).start()
    code = 1
    try:
        _make(job)
        code = 0
        _say("done")
    except Interrupted as stop:
        _say("interrupted", text=str(stop))
    except SambenchError as error:
        _say("refused", text=str(error))
    except BaseException as error:
        traceback.print_exc()
        _say("failed", text=f"{type(error).__name__}: {error}")
    sys.stderr.flush()
    os._exit(code)  # an interpreter that shuts down may wait for processes that are gone


def _say(kind: str, **what: Any) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        print(json.dumps({"kind": kind, **what}), flush=True)


def _stop_without_parent() -> None:
    sys.stdin.read()  # returns when the parent closes its end, by intention or by dying
    os.kill(os.getpid(), signal.SIGTERM)


def _make(job: Job) -> None:
    torch.set_num_threads(job.threads)
    for plugin in job.plugins:
        load_plugin(plugin)
    seat = read_environment()
    leads = seat is None or seat.rank == 0
    logging.basicConfig(level=logging.INFO if leads else logging.WARNING, format="%(message)s")
    run_spec_in_group(
        RunSpec.model_validate(job.spec),
        Store(job.results),
        source=Source(**job.source) if job.source else None,
        data_root=job.data_root,
        device=job.device,
        checkpoint_seconds=job.checkpoint_seconds,
        watch=_reporting if leads else lambda run: lambda state: None,
    )


def _reporting(run: TrainState) -> Advance:
    last = 0.0

    def advance(state: TrainState) -> None:
        nonlocal last
        if time.monotonic() - last >= TICK:
            last = time.monotonic()
            _say("step", step=state.step, total=state.oracle.total_steps)

    return advance
