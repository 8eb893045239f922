"""Processes that run until they are stopped, and never longer than the process that started them."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from .packages import SEARCH_PATH


class Daemon:
    """One daemon in the foreground of a session of its own.

    ``setpriv --pdeathsig`` lets the kernel end it with its parent: a test run that is killed leaves nothing behind.

    Args:
        name: what to call it.
        command: program and arguments; it must not put itself into the background.
        log: where its output is added.
        environment: of the process.
    """

    def __init__(self, name: str, command: list[str], log: Path, environment: dict[str, str]):
        self.name, self.command, self.log, self.environment = name, command, log, environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which(self.command[0], path=SEARCH_PATH)
        assert program, f"{self.command[0]} is not installed"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", program, *self.command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds: float = 20.0) -> None:
        """Ask it to end, then make it."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it without a warning, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def wait_until(
    true: Callable[[], object], seconds: float, what: str, every: float = 0.1, seen: Callable[[], str] = str
) -> float:
    """Wait for something and return how long that took, in seconds; ``seen`` tells of the end of a vain wait.

    Raises:
        TimeoutError: it did not come in time.
    """
    start = time.monotonic()
    while not true():
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}\n{seen()}".rstrip())
        time.sleep(every)
    return time.monotonic() - start


def free_ports(count: int) -> int:
    """Return the first of so many free TCP ports in a row, below those that the kernel hands out to clients."""
    start = 20000 + os.getpid() % 1000 * 10
    for first in range(start, start + 2000, 10):
        taken = []
        with suppress(OSError):
            for port in range(first, first + count):
                taken.append(socket.create_server(("127.0.0.1", port)))
        for server in taken:
            server.close()
        if len(taken) == count:
            return first
    raise RuntimeError(f"no {count} free ports in a row from {start} on")


def answers(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def processes(variable: str, value: str) -> Iterator[int]:
    """Yield the processes that were started with a variable of this value in their environment."""
    wanted = f"{variable}={value}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)


def by_age(pids: Iterable[int]) -> list[int]:
    """Return processes in the order of their starts; numbers of processes begin anew when they have run out."""
    started: dict[int, int] = {}
    for pid in pids:
        with suppress(OSError):
            status = (Path("/proc") / str(pid) / "stat").read_text(errors="replace")
            started[pid] = int(status.rpartition(")")[2].split()[19])  # field 22 in proc(5): clock ticks since boot
    return sorted(started, key=lambda pid: (started[pid], pid))


def command_line(pid: int) -> str:
    """Return program and arguments of a process; empty if it has ended."""
    with suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def end(pids: list[int]) -> None:
    """End processes without a warning."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
