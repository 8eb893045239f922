"""One run on several devices of this machine: a process for each, started here, as ``torchrun`` would start them.

Every process finds ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT`` in its environment, so
it is the same program that ``torchrun`` or ``srun`` may start instead. What ``torchrun`` does not do is done here: a
Ctrl-C reaches each process once (one asks for a checkpoint, two would end it), a process whose parent is gone stops,
and one that dies takes the others along within seconds and says why.
"""

import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from torch import distributed as dist

from ..errors import SambenchError, StateError
from ..results.record import RunRecord
from ..results.store import Store
from ..variants import load_plugin
from .environment import pick_device
from .execute import execute
from .interrupt import SIGNALS, Interrupted
from .m_sharpness import check_devices
from .meeting import PATIENCE, find_seat, meet
from .progress import run_progress
from .source import Source
from .spec import RunSpec

GRACE = 20.0
"""Seconds that processes have to end by themselves once one of them has failed."""
_PROGRAM = f"from {__name__} import member; member()"


@dataclass(frozen=True)
class Job:
    """What a process has to know, as plain data; fields as in :func:`sambench.benchmarks.execute.execute`."""

    spec: dict[str, Any]
    results: str
    source: dict[str, str] | None
    data_root: str | None
    device: str
    checkpoint_seconds: float
    plugins: tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class End:
    """How a process ended: ``done``, ``interrupted``, ``refused`` or ``failed`` with a text, or no word and a code."""

    rank: int
    code: int
    kind: str = ""
    text: str = ""


def execute_here(spec: RunSpec, store: Store, *, device: str = "auto", **how: Any) -> RunRecord:
    """Make a run as one of the processes that ``torchrun``, ``srun`` or :func:`execute_on` started; alone if none did.

    Each process of the job calls this alike, and each returns the record. A job that makes several runs joins once, by
    :func:`~sambench.benchmarks.meeting.meet`, and gives the team to :func:`~sambench.benchmarks.execute.execute`. A
    process in which this raised has to end, for the others may wait for it.

    Args:
        spec: the run.
        store: where records and checkpoints lie, seen by all processes.
        device: ``auto``, ``cuda`` or ``cpu``; each process of a machine takes a GPU of its own.
        **how: further arguments of ``execute``.
    """
    seat = find_seat()
    with meet(seat, store.root / "meetings") as team:
        return execute(spec, store, device=seat.device(device) if seat else pick_device(device), team=team, **how)


def execute_on(
    devices: int,
    spec: RunSpec,
    store: Store,
    *,
    source: Source | None = None,
    data_root: str | None = None,
    device: str = "auto",
    checkpoint_seconds: float = 60.0,
    plugins: Sequence[str] = (),
) -> RunRecord:
    """Make one run on several devices of this machine and return its record.

    Args:
        devices: how many; on the CPU that is processes, which share the cores.
        spec: the run.
        store: where records and checkpoints lie.
        source: where the data set comes from; by default its name.
        data_root: folder of downloaded archives.
        device: ``auto``, ``cuda`` or ``cpu``.
        checkpoint_seconds: least time between checkpoints.
        plugins: files that register variants.

    Raises:
        ConfigError: the spec asks for another number of devices.
        StateError: the run could not be made, or a process was lost; the same call goes on from the last checkpoint.
        Interrupted: a signal came, and the checkpoint is written.
    """
    check_devices(spec.m, spec.batch_size, devices)
    threads = max(1, (os.cpu_count() or 1) // devices)
    place = asdict(source) if source else None
    job = Job(
        spec.model_dump(mode="json"),
        str(store.root),
        place,
        data_root,
        device,
        checkpoint_seconds,
        tuple(plugins),
        threads,
    )
    meeting = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=PATIENCE)
    members = [_start(rank, devices, meeting.port, job) for rank in range(devices)]
    with _passing_on_signals(members):
        first = _wait(members)
    if first.kind == "interrupted":
        raise Interrupted(first.text)
    if first.kind == "done":
        return store.read(spec.run_id)
    what = f"process {first.rank} of {devices}"
    if first.kind:
        raise StateError(first.text if first.kind == "refused" else f"{what} failed: {first.text}")
    how = f"signal {-first.code}" if first.code < 0 else f"exit code {first.code}"
    raise StateError(
        f"{what} ended without a word ({how}); the others were stopped, and the same command goes on from the last "
        "checkpoint"
    )


def _start(rank: int, size: int, port: int, job: Job) -> subprocess.Popen[str]:
    loopback = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    environment = {
        **({"GLOO_SOCKET_IFNAME": loopback[0]} if loopback else {}),  # the machine's own name need not resolve
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store at that address is the parent's
        "OMP_NUM_THREADS": str(job.threads),
    }
    member = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert member.stdin is not None
    member.stdin.write(json.dumps(asdict(job)) + "\n")
    member.stdin.flush()
    return member


def _wait(members: list[subprocess.Popen[str]]) -> End:
    """Wait for all, and return how the first one ended that did not just do its work, else how any did."""
    ends: queue.Queue[End] = queue.Queue()

    def watch(rank: int, member: subprocess.Popen[str]) -> None:
        assert member.stdout is not None
        with member.stdout:
            said = member.stdout.read().strip().splitlines()
        code = member.wait()
        told = json.loads(said[-1]) if said else {}
        ends.put(End(rank, code, told.get("kind", ""), told.get("text", "")))

    watchers = [threading.Thread(target=watch, args=pair, daemon=True) for pair in enumerate(members)]
    for watcher in watchers:
        watcher.start()
    seen: list[End] = []
    while len(seen) < len(members):
        try:
            seen.append(ends.get(timeout=GRACE if any(end.kind != "done" for end in seen) else None))
        except queue.Empty:
            for member in members:
                member.kill()
    for member in members:
        assert member.stdin is not None
        member.stdin.close()
    return next((end for end in seen if end.kind != "done"), seen[0])


@contextmanager
def _passing_on_signals(members: list[subprocess.Popen[str]]) -> Iterator[None]:
    """Ask every process to stop at the first signal, and end them at the second."""
    asked = False

    def pass_on(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        for member in members:
            member.kill() if asked else member.terminate()
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, pass_on) for number in (getattr(signal, name) for name in SIGNALS)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def member() -> None:
    """Be one process of a run: read the job, make it together with the others, say how it ended, and leave."""
    job = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_stop_without_parent, daemon=True).start()
    code, told = 1, {"kind": "failed", "text": ""}
    try:
        _make(job)
        code, told = 0, {"kind": "done"}
    except Interrupted as stop:
        told = {"kind": "interrupted", "text": str(stop)}
    except SambenchError as error:
        told = {"kind": "refused", "text": str(error)}
    except BaseException as error:
        traceback.print_exc()
        told = {"kind": "failed", "text": f"{type(error).__name__}: {error}"}
    print(json.dumps(told), flush=True)
    sys.stderr.flush()
    os._exit(code)  # an interpreter that shuts down may wait for processes that are gone


def _stop_without_parent() -> None:
    sys.stdin.read()  # returns when the parent closes its end, by intention or by dying
    os.kill(os.getpid(), signal.SIGTERM)


def _make(job: Job) -> None:
    torch.set_num_threads(job.threads)
    for plugin in job.plugins:
        load_plugin(plugin)
    seat = find_seat()
    leads = seat is None or seat.rank == 0
    logging.basicConfig(level=logging.INFO if leads else logging.WARNING, format="%(message)s")
    with run_progress(Console(stderr=True, quiet=not leads)) as watch:
        execute_here(
            RunSpec.model_validate(job.spec),
            Store(job.results),
            source=Source(**job.source) if job.source else None,
            data_root=job.data_root,
            device=job.device,
            checkpoint_seconds=job.checkpoint_seconds,
            watch=watch,
        )
