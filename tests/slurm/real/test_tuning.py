"""Tuning on the cluster: a preemption in the middle of a round changes nothing of what is chosen."""

import subprocess

import pytest
from real_slurm import disturbances
from real_slurm.lab import SPEC

from sambench.results.records.trials import read_ledger

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

SUITE = f"""\
title = "A tuning that is preempted"
tracks = ["E"]
seeds = [1]
{SPEC.replace('split = "holdout"', "")}
epochs = 5
[tuning]
trials = 2
finalists = 1
seeds = [1000, 1001]
[[runs]]
variant = "watched"
"""


def chosen(bench):
    trials = read_ledger(bench.results / "ledgers" / "suite.parquet")
    return [trial.model_copy(update={"train_seconds": 0.0}) for trial in trials]


def test_a_preempted_tuning_chooses_what_an_undisturbed_one_does(cluster, lab, measured):
    bench, alone = lab(SUITE, pause=0.25), lab(SUITE)
    options = [option for option in bench.launch_options if option not in ("--checkpoint-seconds", "1")]
    call = bench.call("tune", *options)
    with subprocess.Popen(**call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        job = bench.wait_for_training()
        disturbances.preempt(cluster, job)
        said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert "trials: 3 completed" in said
    alone.sambench("tune", "--on", "debug", SAMBENCH_TEST_PAUSE="0")
    assert chosen(bench) == chosen(alone)
    restarts = max(job.restarts for job in bench.jobs())
    assert restarts >= 1
    measured(jobs=len(bench.jobs()), restarts=restarts)
