"""SIGKILL at random moments, some in the middle of a checkpoint write: the record is that of an undisturbed run.

Runs are made in processes forked from a server that has imported torch, so that a kill costs no start-up. After how
many steps a kill is sent is random with a fixed seed; where in the next step it strikes is up to the machine.
"""

import multiprocessing
import os
import random
import signal

import pytest
from killable import work
from process_pair import PRELOADED

from sambench.benchmarks.training.run import run_spec
from sambench.results.records.store import Store
from sambench.variants import list_variants

QUICK = ("sam", "is_sam")
NAMES = [pytest.param(info.name, marks=[] if info.name in QUICK else pytest.mark.slow) for info in list_variants()]


@pytest.fixture(scope="module")
def server():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def survives(context, spec, folder, rng, in_write):
    """Start or go on with a run; kill it after a few random steps or inside a write; return whether it got through."""
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(spec, folder, theirs, in_write))
    process.start()
    theirs.close()
    steps = rng.randint(1, 3)
    for message in iter(ours.recv, "done"):
        steps -= message == "step"
        if message == "half" or (not in_write and steps == 0):
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            assert process.exitcode == -signal.SIGKILL
            return False
    process.join()
    return True


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_run_ends_as_if_nothing_had_happened(name, server, tiny_spec, tmp_path, essence):
    spec = tiny_spec(variant=name, model="wrn10_1", augment="crop:1,flip")
    rng = random.Random(name)
    whole = run_spec(spec, Store(tmp_path / "whole"))
    kills = [survives(server, spec, tmp_path / "killed", rng, write) for write in (False, True, False)].count(False)
    record = run_spec(spec, Store(tmp_path / "killed"))
    assert kills >= 2
    assert essence(record) == essence(whole)
    assert not list(tmp_path.rglob("*.tmp"))
