"""Starts the tasks of the stand-in for SLURM by forking a process that has imported everything already.

A task that imports torch takes seconds of a core; forked from here it takes milliseconds. It is what ``start.sh`` would
have started, but for the import path: which code a job imports is tested with a job that starts for real.
"""

import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path


def serve(place):
    """Listen on a socket until it is closed at the other end of standard input."""
    import torch

    # what the tasks run, and what torch imports in their first backward pass
    for needed in ("sambench.slurm.cluster.job", "torch.fx.experimental.symbolic_shapes"):
        importlib.import_module(needed)
    torch.set_num_threads(1)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _task(connection)


def _task(connection):
    """Be the parent of one task: start it, tell its process id, wait, tell its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    order = json.loads(connection.makefile().readline())
    child = os.fork()
    if child == 0:
        connection.close()
        _run(order)
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _run(order):
    os.setsid()
    os.environ.clear()
    os.environ.update(order["environment"])
    log = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from submitit.core.submission import process_job

    code = 1
    try:
        process_job(order["folder"])
        code = 0
    except SystemExit as leave:
        code = leave.code
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.stdout.flush()
    os._exit(code)


def ask(place, order):
    """Ask a fork server for a task; yields its process id, then its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        connection.sendall(json.dumps(order).encode() + b"\n")
        for line in connection.makefile():
            yield int(line)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    serve(sys.argv[1])
