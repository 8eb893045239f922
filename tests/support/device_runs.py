"""Whole runs by a team of two, and what may happen to one of its processes in their midst."""

import os
import signal

from together import STEP

from sambench.benchmarks.distributed import process_group as team_module
from sambench.benchmarks.training.checkpoint import Checkpoints
from sambench.benchmarks.training.run import execute
from sambench.results.records.store import Store


def make(team, folder, specs, seconds=60.0, mishap=lambda team, run: None):
    """Make runs and return their records; every step is told to the parent before a mishap may strike."""
    if not team.leads:
        Store.write = Checkpoints.save = forbidden
    team_module.ASK_SECONDS = 0.0  # ask after every step

    def watch(run):
        def advance(state):
            team.pipe.send(STEP)
            mishap(team, state)

        return advance

    return [
        execute(spec, Store(folder), checkpoint_seconds=seconds, watch=watch, team=team).model_dump() for spec in specs
    ]


def forbidden(*arguments):
    raise AssertionError("only the process that leads writes files")


def killed(team, run):
    """SIGKILL to one of the processes."""
    if team.rank == 1 and run.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)


def raising(team, run):
    """An error that only one device sees."""
    if team.rank == 1 and run.step == 4:
        raise RuntimeError("the device caught fire")


def asked_to_stop(team, run):
    """A signal that only reaches one process."""
    if team.rank == 1 and run.step == 4:
        os.kill(os.getpid(), signal.SIGTERM)


def drifting(team, run):
    """A rule that forgets to average what it moves weights by."""
    run.optimizer.mean_over_devices = lambda values: None
