"""Jobs on a stand-in for SLURM: preempted, requeued, killed, cancelled, launched twice; the records stay the same."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import fake_slurm
import pytest

from sambench.benchmarks.training.run import run_spec
from sambench.errors import SambenchError
from sambench.results.records.store import Store
from sambench.slurm.cluster import job as module
from sambench.slurm.cluster.cancel import cancel_suite
from sambench.slurm.cluster.packing import pack
from sambench.slurm.cluster.profile import Profile
from sambench.slurm.cluster.submission import list_submissions
from sambench.slurm.cluster.submit import submit
from sambench.slurm.logs import find_log, follow
from sambench.slurm.options import RunOptions
from sambench.slurm.plan import Planned
from sambench.slurm.retry import pick_for_retry
from sambench.slurm.status import run_statuses
from sambench.variants import load_plugin

SLOW = '''
import time
from sambench.variants import StepRule, register

@register("slow_sgd", summary="takes its time", paper=None, gradients=1)
class Slow(StepRule):
    """SGD that takes its time, so that a test can come in between."""

    def update(self, closure):
        at = self.gradient(closure)
        self.descend(at)
        if at.values[0].element_size() == 4:  # not the float64 steps that tell its behaviour
            time.sleep(0.03)
            with open(__file__ + ".journal", "a") as journal:
                print("step", file=journal)
        return at.loss

@register("fails_once", summary="fails", paper=None, gradients=1)
class FailsOnce(StepRule):
    """Fails until a file is there."""

    def update(self, closure):
        if not __import__("pathlib").Path(__file__).with_name("repaired").exists():
            raise RuntimeError("on purpose")
        at = self.gradient(closure)
        self.descend(at)
        return at.loss
'''


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "slow.py"
    path.write_text(SLOW)
    load_plugin(path)
    return str(path)


@pytest.fixture
def slow(tiny_suite, plugin):
    """A suite of runs that take a second or two."""

    def make(seeds=1, epochs=20):
        return tiny_suite(*({"variant": "slow_sgd", "seed": seed, "epochs": epochs} for seed in range(seeds)))

    return make


@pytest.fixture
def launch(running, tmp_path):
    def make(suite, plugins=(), checkpoint_seconds=60.0, **fields):
        profile = Profile.model_validate(fields)
        done = Store(tmp_path / "r").run_ids()
        todo = tuple(Planned(spec, None, 6, 6.0, 0.0, 1.0) for spec in suite.specs if spec.run_id not in done)
        jobs = pack(todo, profile.runs_per_job, profile.at_a_time)
        options = RunOptions(tmp_path / "r", plugins=tuple(plugins), checkpoint_seconds=checkpoint_seconds)
        return submit(tmp_path / "r", suite.name, jobs, profile, options, lambda text: None)

    return make


@pytest.fixture
def states(tmp_path):
    def now(suite):
        return [status.state for status in run_statuses(suite, Store(tmp_path / "r"))]

    return now


@pytest.fixture
def at_step(tmp_path, until):
    """Wait until a run of a suite is held and makes steps, as their journals beside the copies of the plug-in tell."""

    def steps():
        journals = (tmp_path / "r" / "launches").rglob("slow.py.journal")
        return sum(len(journal.read_text().splitlines()) for journal in journals)

    def wait(suite):
        store, made = Store(tmp_path / "r"), steps()
        until(lambda: any(s.state == "running" for s in run_statuses(suite, store)))
        until(lambda: steps() > made + 1)  # so that the one before has its checkpoint, where every step is due one

    return wait


def log_of(tmp_path, run_id):
    return find_log(Store(tmp_path / "r"), run_id)[1].read_text()


def test_arrays_make_the_records_that_local_runs_make(launch, tiny_suite, tmp_path, until, states, essence):
    suite = tiny_suite({}, {"variant": "sam"}, {"variant": "is_sam", "seed": 1})
    launch(suite)
    until(lambda: states(suite) == ["done"] * 3)
    for spec in suite.specs:
        alone = run_spec(spec, Store(tmp_path / "alone"))
        assert essence(Store(tmp_path / "r").read(spec.run_id)) == essence(alone)
    until(lambda: all(job["state"] == "COMPLETED" for job in fake_slurm.jobs()))


@pytest.mark.slow  # starts several processes
@pytest.mark.parametrize("disturbed", [False, True])
def test_a_run_on_two_devices_is_made_by_two_tasks(launch, slow, plugin, tmp_path, until, states, at_step, disturbed):
    """Each task is one process of the run; all stop after the same step, and one of them asks for the requeue."""
    suite = slow()
    launch(suite, [plugin], devices=2)
    if disturbed:
        at_step(suite)
        fake_slurm.scancel(["--signal=USR2", fake_slurm.id_of(fake_slurm.jobs()[0])])
    until(lambda: states(suite) == ["done"])
    assert fake_slurm.jobs()[0]["restarts"] == disturbed
    record = Store(tmp_path / "r").read(suite.run_ids[0])
    assert (record.status, record.environment.devices) == ("completed", 2)
    alone = run_spec(suite.specs[0], Store(tmp_path / "alone"))
    assert record.curve[-1].train_loss == pytest.approx(alone.curve[-1].train_loss, rel=1e-3)


@pytest.mark.slow  # starts several processes
def test_the_announced_end_of_a_job_requeues_it_and_it_resumes_to_the_bit(
    launch, slow, plugin, tmp_path, until, states, at_step, essence
):
    """Twice in a row, with a time limit so short that submitit would give up after three."""
    suite = slow()
    launch(suite, [plugin], time="5")
    for restarts in (1, 2):
        at_step(suite)
        fake_slurm.scancel(["--signal=USR2", fake_slurm.id_of(fake_slurm.jobs()[0])])
        until(lambda restarts=restarts: fake_slurm.jobs()[0]["restarts"] == restarts)
    until(lambda: states(suite) == ["done"])
    text = log_of(tmp_path, suite.run_ids[0])
    assert text.count("asks to be started again") == 2
    assert "timed out too many times" not in text
    assert essence(Store(tmp_path / "r").read(suite.run_ids[0])) == essence(
        run_spec(suite.specs[0], Store(tmp_path / "alone"))
    )


@pytest.mark.slow  # starts several processes
def test_a_warning_that_no_kill_follows_costs_nothing(launch, slow, plugin, tmp_path, until, states, at_step):
    suite = slow()
    launch(suite, [plugin])
    at_step(suite)
    fake_slurm.scancel(["--signal=TERM", fake_slurm.id_of(fake_slurm.jobs()[0])])
    until(lambda: states(suite) == ["done"])
    assert fake_slurm.jobs()[0]["restarts"] == 0
    assert "interrupted: stopped after step" in log_of(tmp_path, suite.run_ids[0])


@pytest.mark.slow  # starts several processes
def test_a_preemption_with_nothing_but_a_kill_resumes_from_the_last_checkpoint(
    launch, slow, plugin, tmp_path, until, states, at_step, essence
):
    """The scheduler's default: TERM, some seconds, KILL, requeued by the scheduler itself."""
    suite = slow()
    launch(suite, [plugin], checkpoint_seconds=0)
    at_step(suite)
    fake_slurm.scontrol(["requeue", fake_slurm.id_of(fake_slurm.jobs()[0])])
    until(lambda: fake_slurm.jobs()[0]["restarts"] == 1)
    until(lambda: states(suite) == ["done"])
    assert essence(Store(tmp_path / "r").read(suite.run_ids[0])) == essence(
        run_spec(suite.specs[0], Store(tmp_path / "alone"))
    )


@pytest.mark.slow  # starts several processes
def test_a_killed_job_is_lost_and_tried_again(launch, slow, plugin, tmp_path, until, states, at_step):
    suite = slow()
    launch(suite, [plugin], checkpoint_seconds=0)
    at_step(suite)
    fake_slurm.signal_steps(fake_slurm.jobs()[0], signal.SIGKILL)
    until(lambda: states(suite) == ["lost"])
    store = Store(tmp_path / "r")
    (found,) = run_statuses(suite, store)
    assert "job ended as FAILED" in found.text
    assert found.step > 0
    picked = pick_for_retry(suite, [found], list_submissions(store.root), 3, {})
    assert (picked.specs, picked.attempts) == (suite.specs, 1)
    launch(replace(suite, specs=picked.specs), [plugin])
    until(lambda: states(suite) == ["done"])
    assert not pick_for_retry(suite, run_statuses(suite, store), list_submissions(store.root), 3, {}).specs


def test_a_failed_run_stops_no_other_and_has_so_many_attempts(launch, tiny_suite, plugin, tmp_path, until, states):
    suite = tiny_suite({"variant": "fails_once"}, {})
    for attempt in (1, 2):
        launch(suite, [plugin])
        until(lambda: all(job["state"] in ("FAILED", "COMPLETED") for job in fake_slurm.jobs()))
        assert states(suite) == ["failed", "done"]
        store = Store(tmp_path / "r")
        found = run_statuses(suite, store)
        assert found[0].text == "RuntimeError: on purpose"
        assert pick_for_retry(suite, found, list_submissions(store.root), attempt + 1, {}).specs == suite.specs[:1]
        given_up = pick_for_retry(suite, found, list_submissions(store.root), attempt, {})
        assert (given_up.specs, given_up.given_up) == ((), suite.specs[:1])
    (tmp_path / "repaired").touch()
    plugin_repaired = Path(list_submissions(tmp_path / "r")[-1].options.plugins[0]).with_name("repaired")
    plugin_repaired.touch()
    made = launch(suite, [plugin])
    Path(made.options.plugins[0]).with_name("repaired").touch()
    until(lambda: states(suite)[0] in ("done", "failed"))


def test_cancelling_reaches_what_waits_and_what_runs(launch, slow, plugin, tmp_path, until, states, at_step):
    suite = slow(seeds=3, epochs=200)
    launch(suite, [plugin], array_parallelism=1)
    at_step(suite)
    store = Store(tmp_path / "r")
    assert sorted(states(suite)) == ["pending", "pending", "running"]
    assert cancel_suite(suite.name, suite.run_ids, store) == 3
    until(lambda: states(suite) == ["cancelled"] * 3)
    assert "by sambench cancel" in {found.text for found in run_statuses(suite, store)}
    assert cancel_suite(suite.name, suite.run_ids, store) == 0


@pytest.mark.slow  # starts several processes
def test_launching_twice_at_once_makes_no_run_twice(launch, slow, plugin, tmp_path, until, states):
    """Neither waits for the other: the second finds the runs held, or done."""
    suite = slow(seeds=3)
    for _ in range(2):
        launch(suite, [plugin])
    until(lambda: all(job["state"] == "COMPLETED" for job in fake_slurm.jobs()))
    assert states(suite) == ["done"] * 3
    made = [path.read_text().count("step") for path in tmp_path.glob("r/launches/*/code/plugins/0/slow.py.journal")]
    assert sum(made) == 3 * 20 * 3  # runs, epochs, steps of an epoch: each was made once
    assert not list((tmp_path / "r" / "checkpoints").iterdir())


@pytest.mark.slow  # starts several processes
def test_a_half_written_result_of_submitit_stops_no_later_start(launch, tiny_suite, cluster, tmp_path, until, states):
    """A kill while submitit saves leaves a file beside which it refuses to write, at every later start."""
    suite = tiny_suite({})
    (cluster / "fork_server").unlink()  # nobody listens: the job does not start before the file is there
    made = launch(suite)
    job = fake_slurm.id_of(fake_slurm.jobs()[0])
    (made.jobs_folder / f"{job}_0_result.pkl.save_tmp").write_bytes(b"half")
    until(lambda: (made.jobs_folder / f"{job}_0_result.pkl").exists() or fake_slurm.jobs()[0]["state"] == "FAILED")
    assert states(suite) == ["done"]
    assert (made.jobs_folder / f"{job}_0_result.pkl").exists()
    record = Store(tmp_path / "r").read(suite.run_ids[0])
    assert record.environment.commit is not None
    assert "Traceback" not in log_of(tmp_path, suite.run_ids[0])


def test_logs_are_found_by_the_start_of_an_id_and_followed(tmp_path):
    path, seen = tmp_path / "log", []
    answers = iter([True, True, False])
    for text in follow(path, lambda: next(answers)):
        seen.append(text)
        with path.open("a") as file:
            file.write("more\n")
    path.write_text("first\n")
    assert list(follow(path, lambda: False)) == ["first\n"]


# -- what one process decides ----------------------------------------------------------------------------------


class Quiet:
    """Signals that nobody sends."""

    leave = False


def test_a_job_waits_for_an_earlier_start_of_itself_and_not_for_another_job(tmp_path, tiny_suite, monkeypatch):
    """Two copies of one job: its node did not end the first. The second goes on as soon as the first one is gone."""
    from sambench.results.records.lease import Lease

    suite = tiny_suite({})
    run = Planned(suite.specs[0], None, 6, 6.0, 0.0, 1.0)
    options = RunOptions(tmp_path)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    lease = Lease(Store(tmp_path).checkpoints(suite.run_ids[0]), beat=999).take()
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        lease._started -= 1.0
        lease.verify()  # a renewal
        if len(looks) == 4:
            lease.release()

    monkeypatch.setattr(module.time, "sleep", sleep)
    assert module._comes_free(run, options, Quiet())
    assert len(looks) == 4
    looks.clear()
    lease = Lease(Store(tmp_path).checkpoints(suite.run_ids[0]), beat=999).take()
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    lease.verify()
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    original = lease._content
    monkeypatch.setattr(lease, "_content", lambda seconds: original(seconds).replace(b'"job": "17"', b'"job": "18"'))
    lease.verify()
    assert not module._comes_free(run, options, Quiet())
    assert len(looks) == 1
    lease.release()


def test_a_job_that_gets_nowhere_several_times_in_a_row_asks_for_no_further_start(monkeypatch, cluster, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    notes = tmp_path / "notes"
    for progressed in (False, False, True, False, False):
        with pytest.raises(SystemExit):
            module.requeue(progressed, notes)
    with pytest.raises(SambenchError, match="3 times in a row without making a step"):
        module.requeue(False, notes)


def test_a_scheduler_that_does_not_requeue_is_told(monkeypatch, cluster, tmp_path):
    (cluster / "scontrol").write_text('#!/bin/sh\necho "Requested operation is presently disabled" >&2; exit 1\n')
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with pytest.raises(SambenchError, match=r"presently disabled.*sambench retry"):
        module.requeue(True, tmp_path / "notes")


@pytest.mark.parametrize("at_a_time", [0, 1])
def test_a_signal_before_the_first_step_is_not_lost(monkeypatch, slow, plugin, tmp_path, at_a_time):
    """It comes when the run is claimed and not yet trained: after one step the job asks for another start."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    suite, asked = slow(seeds=1 + at_a_time, epochs=2), []

    def requeue(progressed, notes):
        asked.append(progressed)
        raise SystemExit(1)

    class Sender(module.JobLog):
        def __call__(self, event):
            if event.kind == "started":
                os.kill(os.getpid(), signal.SIGUSR2)

    monkeypatch.setattr(module, "requeue", requeue)
    monkeypatch.setattr(module, "JobLog", Sender)
    runs = tuple(Planned(spec, None, 6, 6.0, 0.0, 1.0) for spec in suite.specs)
    options = RunOptions(tmp_path / "r", plugins=(plugin,))
    try:
        with pytest.raises(SystemExit):
            module.work(runs, options, at_a_time, module.Signals(), tmp_path / "notes")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert asked == [True]
    assert [s.state for s in run_statuses(suite, Store(tmp_path / "r"))] == ["preempted"] + ["pending"] * at_a_time


def test_signals_are_noted_and_harmless(monkeypatch):
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    try:
        signals = module.Signals()
        os.kill(os.getpid(), signal.SIGTERM)
        assert not signals.leave
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGUSR2)
        assert signals.leave
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
