"""Whole runs by a group of two processes, and what may happen to one of its processes in their midst."""

import os
import signal

from process_pair import STEP

from sambench.benchmarks.distributed import process_group as module
from sambench.benchmarks.training.checkpoint import Checkpoints
from sambench.benchmarks.training.run import run_spec
from sambench.results.records.store import Store


def make(process_group, folder, specs, seconds=60.0, mishap=lambda process_group, run: None):
    """Make runs and return their records; every step is told to the parent before a mishap may strike."""
    if not process_group.is_main_process:
        Store.write = Checkpoints.save = forbidden
    module.SYNC_EVERY_SECONDS = 0.0  # ask after every step

    def watch(run):
        def advance(state):
            process_group.pipe.send(STEP)
            mishap(process_group, state)

        return advance

    return [
        run_spec(spec, Store(folder), checkpoint_seconds=seconds, watch=watch, process_group=process_group).model_dump()
        for spec in specs
    ]


def forbidden(*arguments):
    raise AssertionError("only the main process writes files")


def killed(process_group, run):
    """SIGKILL to one of the processes."""
    if process_group.rank == 1 and run.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)


def raising(process_group, run):
    """An error that only one device sees."""
    if process_group.rank == 1 and run.step == 4:
        raise RuntimeError("the device caught fire")


def asked_to_stop(process_group, run):
    """A signal that only reaches one process."""
    if process_group.rank == 1 and run.step == 4:
        os.kill(os.getpid(), signal.SIGTERM)


def drifting(process_group, run):
    """A rule that forgets to average what it moves weights by."""
    run.optimizer.mean_over_devices = lambda values: None
