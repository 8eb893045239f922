"""``--devices N``: this command again, under torchrun, in a process for each device of this machine.

torchrun gives every process a file for the reason of its end. :func:`reason_recorded` writes it in the process,
:func:`run_under_torchrun` reads the files of all and says once why the run ended.
"""

import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure, get_error_handler
from torch.distributed.run import parse_args, run

from ...errors import Interrupted, SambenchError, StateError
from ...results.records.lease import Held, LeaseLost
from ..device import cores
from .process_group import ProcessLost, is_lost
from .rendezvous import DistributedEnvironment

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2")
"""What is passed on to the processes: what torchrun passes on, and what schedulers send."""
_REFUSALS = (Held, LeaseLost, SambenchError)
"""What a process says in one line: the kinds that callers tell apart, and all others."""
STOP_TIMEOUT_SECONDS = 300
"""Time for a step and a checkpoint after a signal; then a process is killed."""


def run_under_torchrun(devices: int, arguments: Sequence[str], module: str = "sambench") -> None:
    """Run ``python -m sambench`` with these arguments in a process for each device, until all have ended.

    Args:
        devices: number of processes; on the CPU they share the cores.
        arguments: of the command line, ``["run", "--variant", "sam", ...]``.
        module: another module to run than the command line.

    Raises:
        SambenchError: what the processes refused.
        StateError: which process failed or died first, and of what.
        Interrupted: a signal came before there was anything to save.
        SystemExit: 130, a signal came; the main process wrote the checkpoint and said so.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // devices)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(STOP_TIMEOUT_SECONDS))
    before = {name: signal.getsignal(getattr(signal, name)) for name in SIGNALS}
    heard = [name for name, handler in before.items() if handler is not signal.SIG_IGN]
    logging.disable(logging.ERROR)  # torchrun's own account of what is said here in one line
    with tempfile.TemporaryDirectory(prefix="sambench-") as folder:
        options = [f"--nproc-per-node={devices}", f"--log-dir={folder}", f"--signals-to-handle={','.join(heard)}"]
        try:
            run(parse_args(["--standalone", "--local-addr=127.0.0.1", *options, "-m", module, *arguments]))
        except (ChildFailedError, SignalException) as end:
            raise _reason(devices, getattr(end, "failures", {}), Path(folder)) from None
        finally:
            logging.disable(logging.NOTSET)
            for name in heard:  # torchrun leaves its own, which raise what nobody expects any more
                if (handler := before[name]) is not None:  # None: it was not set from Python, and cannot be
                    signal.signal(getattr(signal, name), handler)


def _reason(devices: int, failures: Mapping[int, ProcessFailure], folder: Path) -> BaseException:
    """Find out why a run ended: by the first process that said why, else by the first that died without a word."""
    files = sorted(folder.rglob("error.json"), key=lambda file: file.stat().st_mtime_ns)
    told = {int(file.parent.name): json.loads(file.read_text())["message"] for file in files}
    silent = [failure for rank, failure in failures.items() if rank not in told]
    causes = [item for item in told.items() if not item[1]["message"].startswith(ProcessLost.__name__)]
    causes = causes or ([] if silent else [*told.items()])
    if causes:
        rank, said = causes[0]
        kind, _, text = said["message"].partition(": ")
        if kind == Interrupted.__name__:
            return SystemExit(130)
        for own in _REFUSALS:
            if kind == own.__name__:
                return own(text)
        print(said["extraInfo"]["py_callstack"].rstrip().rpartition("\n")[0], file=sys.stderr)  # its last line follows
        what = f"process {rank} of {devices} failed: {said['message']}"
    elif silent:
        rank, code = silent[0].local_rank, silent[0].exitcode
        how = f"was killed by {silent[0].signal_name()}" if code < 0 else f"ended with exit code {code}"
        what = f"process {rank} of {devices} {how}"
    else:
        return Interrupted("stopped before a new checkpoint was written")
    return StateError(f"{what}; the others were stopped, and the same command goes on from the last checkpoint")


@contextlib.contextmanager
def reason_recorded(environment: DistributedEnvironment | None) -> Iterator[None]:
    """In a process that torchrun started, leave the reason of a failure to torchrun, and end at once.

    Whoever called torchrun says it, once. An interrupt, on which all processes agree, is said by the main process.

    Args:
        environment: of this process; None for one that nobody started, whose errors go their way.
    """
    try:
        yield
    except (Exception, Interrupted) as error:
        if environment is None or "TORCHELASTIC_ERROR_FILE" not in os.environ:
            raise
        refused = next((own for own in _REFUSALS if isinstance(error, own)), None)
        kind = ProcessLost if is_lost(error) else refused
        get_error_handler().record_exception(kind(str(error)) if kind else error)
        if isinstance(error, Interrupted) and environment.rank == 0:
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # an interpreter that shuts down may wait for processes that are gone
