"""Whatever happens to jobs: every run is there in the end, exactly once, with the bits of a run that was left alone."""

import random
import time

import pytest
from real_slurm import disturbances
from real_slurm.configuration import PREEMPTION_GRACE_SECONDS
from real_slurm.evidence import assert_same_runs, courses
from real_slurm.lab import watched

from sambench.results.records.store import Store

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]

PAUSE = 0.25
"""Seconds that a step sleeps: a run of 40 steps takes ten seconds and next to no CPU."""
STEPS = 40


def check(lab, reference, measured):
    """Compare with the undisturbed runs, and with what the journal says about who made which step."""
    assert_same_runs(lab.results, reference(lab.suite))
    went = courses(lab.journal())
    assert all(course.steps == STEPS for course in went.values())
    assert not sum(course.gaps for course in went.values())
    assert not [seed for seed, course in went.items() if course.alternations], "two processes made one run"
    measured(
        runs=len(went),
        starts=sum(course.starts for course in went.values()),
        steps_repeated=sum(course.repeated for course in went.values()),
    )


def retry_until_done(lab, runs, most=4):
    """Finish; then do what a user would about failed and lost runs; return how often that was needed."""
    for times in range(most):
        lab.finish()
        if lab.done() == runs:
            return times
        lab.sambench("retry", *lab.launch_options, "--backoff", "0", "--most", "9")
    raise AssertionError(lab.describe())


@pytest.mark.parametrize("disturb", disturbances.HEALING, ids=lambda disturb: disturb.__name__)
def test_a_job_comes_to_its_end_by_itself(disturb, cluster, lab, reference, measured):
    bench = lab(watched(4), pause=PAUSE, options=("--runs-per-job", "2"))
    bench.launch()
    job = bench.wait_for_training()
    start = time.monotonic()
    disturb(cluster, job)
    took = time.monotonic() - start
    bench.finish()
    assert bench.done() == 4
    measured(disturbance_seconds=took, back_seconds=bench.gap(job), total_seconds=bench.since_launch())
    check(bench, reference, measured)


@pytest.mark.parametrize("disturb", disturbances.CRASHES + disturbances.DEADLY, ids=lambda disturb: disturb.__name__)
def test_what_a_kill_costs_is_tried_again(disturb, cluster, lab, reference, measured):
    bench = lab(watched(4), pause=PAUSE, options=("--runs-per-job", "2"))
    bench.launch()
    job = bench.wait_for_training()
    disturb(cluster, job)
    bench.finish()
    if disturb in disturbances.DEADLY:
        assert bench.done() < 4
        assert "lost" in bench.sambench("status")
    measured(retries=retry_until_done(bench, 4), back_seconds=bench.gap(job), total_seconds=bench.since_launch())
    check(bench, reference, measured)


@pytest.mark.parametrize("runs_per_job", [1, 2])
def test_preemption_without_the_signal(runs_per_job, cluster, lab, reference, measured):
    cluster.reconfigure(user_signal=False)
    bench = lab(watched(4), pause=PAUSE, options=("--runs-per-job", str(runs_per_job)))
    bench.launch()
    job = bench.wait_for_training()
    start = time.monotonic()
    disturbances.preempt(cluster, job)
    assert time.monotonic() - start >= PREEMPTION_GRACE_SECONDS / 2, (
        "the job gave way at once, as if it had been asked to"
    )
    bench.finish()
    measured(back_seconds=bench.gap(job))
    check(bench, reference, measured)


def test_a_time_limit(lab, reference, measured):
    """Runs of 140 s and a start under a limit of two minutes; SLURM tells of its end 10 s to 40 s before it.

    Under the shortest limit of one minute, a job of which SLURM tells after 20 s would have to start within these.
    """
    bench = lab(watched(2), pause=3.5, options=("--runs-per-job", "1"))
    bench.launch("--time", "0:02:00")
    bench.finish()
    restarts = [job.restarts for job in bench.jobs()]
    assert min(restarts) >= 1
    measured(restarts=restarts, total_seconds=bench.since_launch())
    check(bench, reference, measured)


def test_a_run_on_two_devices_is_told_of_its_end_and_goes_on(cluster, lab, reference, measured):
    """All tasks leave after the same step, and srun kills none of them before the first one has asked to go on."""
    bench = lab(watched(1), pause=PAUSE)
    bench.launch("--devices", "2")
    for _ in range(2):
        disturbances.warn_of_end(cluster, bench.wait_for_training())
    bench.finish()
    (job,) = bench.jobs()
    (record,) = Store(bench.results).records()
    (alone,) = Store(reference(bench.suite)).records()
    assert job.restarts == 2
    assert (record.status, record.environment.devices, record.counters.steps) == ("completed", 2, STEPS)
    assert record.curve[-1].train_loss == pytest.approx(alone.curve[-1].train_loss, rel=0.05)
    measured(restarts=job.restarts, total_seconds=bench.since_launch())


def test_workers_killed_at_random_moments(cluster, lab, reference, measured):
    """Half of eight runs, made one after the other with a checkpoint every step, are killed somewhere; then again."""
    bench = lab(watched(8), pause=0.05, options=("--runs-per-job", "8"))
    dice, kills, submissions = random.Random(0), 0, 0
    every_step = ("--checkpoint-seconds", "0")
    while bench.done() < 8:
        if submissions:
            bench.sambench("retry", *bench.launch_options, *every_step, "--backoff", "0", "--most", "9")
        else:
            bench.launch(*every_step)
        submissions += 1
        for _ in range(4 if submissions < 3 else 0):
            job = bench.wait_for_training(steps=dice.randint(1, 20))
            time.sleep(dice.random() * 0.1)
            disturbances.kill_worker(cluster, job)
            kills += 1
        bench.finish()
    assert kills == 8
    measured(kills=kills, submissions=submissions, total_seconds=bench.since_launch())
    check(bench, reference, measured)


@pytest.mark.parametrize("seed", [1])
def test_all_of_it_at_random_moments(seed, cluster, lab, reference, measured):
    """Forty runs, and every disturbance there is, one after the other, while they are made."""
    bench = lab(watched(40), pause=PAUSE, options=("--runs-per-job", "4"))
    bench.launch()
    dice = random.Random(seed)
    struck = []
    for disturb in disturbances.storm(seed):
        job = bench.wait_for_training(steps=dice.randint(1, 12))
        disturb(cluster, job)
        struck.append(disturb.__name__)
    retries = retry_until_done(bench, 40)
    assert bench.done() == 40
    measured(disturbances=" ".join(struck), retries=retries, total_seconds=bench.since_launch())
    check(bench, reference, measured)
