"""One run on several devices of this machine: a process for each, started here, as ``torchrun`` would start them.

Every process finds ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT`` in its environment, so
it is the same program that ``torchrun`` or ``srun`` may start instead. What ``torchrun`` does not do is done here: a
Ctrl-C reaches each process once (one asks for a checkpoint, two would end it), a process whose parent is gone stops,
and one that dies takes the others along within seconds and says why.
"""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

from torch import distributed as dist

from ...datasets.source import Source
from ...errors import Interrupted, StateError
from ...results.records.record import RunRecord
from ...results.records.store import Store
from ..device import cores
from ..m_sharpness import check_devices
from ..spec import RunSpec
from ..training.signals import SIGNALS
from .rendezvous import JOIN_TIMEOUT
from .worker import Job

EXIT_GRACE_SECONDS = 20.0
"""Seconds that processes have to end by themselves once one of them has failed."""
_PROGRAM = f"from {Job.__module__} import member; member()"

Listen = Callable[[int, int], None]
"""Hears how far a run is: steps that are done, and steps of the whole run."""


@dataclass(frozen=True)
class Said:
    """One message of a process: a ``step``, or how it ended: ``done``, ``interrupted``, ``refused``, ``failed``, or
    ``dead``, which is what is said of one that ended without a word."""

    rank: int
    kind: str
    text: str = ""
    step: int = 0
    total: int = 0


def run_spec_on_devices(
    devices: int,
    spec: RunSpec,
    store: Store,
    *,
    source: Source | None = None,
    data_root: str | None = None,
    device: str = "auto",
    checkpoint_seconds: float = 60.0,
    plugins: Sequence[str] = (),
    threads: int | None = None,
    listen: Listen = lambda step, total: None,
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
        threads: of each process; by default its share of the cores.
        listen: told about progress.

    Raises:
        ConfigError: the spec asks for another number of devices.
        StateError: the run could not be made, or a process was lost; the same call goes on from the last checkpoint.
        Interrupted: a signal came, and the checkpoint is written.
    """
    check_devices(spec.m, spec.batch_size, devices)
    job = Job(
        spec=spec.model_dump(mode="json"),
        results=str(store.root),
        source=asdict(source) if source else None,
        data_root=data_root,
        device=device,
        checkpoint_seconds=checkpoint_seconds,
        plugins=tuple(plugins),
        threads=threads or max(1, cores() // devices),
    )
    meeting = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=JOIN_TIMEOUT)
    members = [_start(rank, devices, meeting.port, job) for rank in range(devices)]
    with _passing_on_signals(members):
        end = _wait(members, listen)
    if end.kind == "interrupted":
        raise Interrupted(end.text)
    if end.kind == "refused":
        raise StateError(end.text)
    if end.kind != "done":
        raise StateError(
            f"process {end.rank} of {devices} {'failed' if end.kind == 'failed' else 'ended without a word'}: "
            f"{end.text}; the others were stopped, and the same call goes on from the last checkpoint"
        )
    return store.read(spec.run_id)


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
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it is dead already, which is noticed where all are waited for
        process.stdin.write(json.dumps(asdict(job)) + "\n")
        process.stdin.flush()
    return process


def _wait(members: list[subprocess.Popen[str]], listen: Listen) -> Said:
    """Wait until all have ended; return the first end of one that did not just do its work, else that of any."""
    said: queue.Queue[Said] = queue.Queue()
    for pair in enumerate(members):
        threading.Thread(target=_hear, args=(*pair, said), daemon=True).start()
    ends: list[Said] = []
    while len(ends) < len(members):
        try:
            message = said.get(timeout=EXIT_GRACE_SECONDS if any(end.kind != "done" for end in ends) else None)
        except queue.Empty:
            for process in members:
                process.kill()
            continue
        if message.kind == "step":
            listen(message.step, message.total)
        else:
            ends.append(message)
    for process in members:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    return next((end for end in ends if end.kind != "done"), ends[0])


def _hear(rank: int, process: subprocess.Popen[str], said: "queue.Queue[Said]") -> None:
    """Pass on what a process says, and in the end exactly one message on how it ended."""
    assert process.stdout is not None
    last = None
    with process.stdout:
        for line in process.stdout:
            message = Said(rank, **json.loads(line))
            if message.kind == "step":
                said.put(message)
            else:
                last = message
    code = process.wait()
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    said.put(last or Said(rank, "dead", how))


@contextlib.contextmanager
def _passing_on_signals(members: list[subprocess.Popen[str]]) -> Iterator[None]:
    """Ask every process to stop at the first signal, and end them at the second."""
    before: dict[int, Any] = {}
    asked = False

    def pass_on(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        for process in members:
            process.kill() if asked else process.terminate()
        asked = True
        if callable(before[number]) and number != signal.SIGINT:  # a job that takes note of signals hears of this one
            before[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in SIGNALS if hasattr(signal, name)):
            before[number] = signal.getsignal(number)
            signal.signal(number, pass_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
