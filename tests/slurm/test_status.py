"""Status: every state from what records, leases, queue and accounts say, also when they are late, silent or wrong."""

import os
import time

import fake_slurm
import pytest

from sambench.benchmarks.training.checkpoint import Checkpoints
from sambench.benchmarks.training.run import run_spec
from sambench.results.records.epochs import EPOCHS, EpochWriter
from sambench.results.records.lease import EXPIRY, Lease, lease_path
from sambench.results.records.record import CurvePoint
from sambench.results.records.store import Store
from sambench.slurm import status, stop
from sambench.slurm.cluster import commands as scheduler
from sambench.slurm.cluster import queue
from sambench.slurm.cluster.cancel import cancel_suite
from sambench.slurm.cluster.packing import pack
from sambench.slurm.cluster.profile import Profile
from sambench.slurm.cluster.submission import list_submissions
from sambench.slurm.cluster.submit import submit
from sambench.slurm.options import RunOptions
from sambench.slurm.plan import Planned
from sambench.slurm.status import run_statuses


@pytest.fixture
def two(tiny_suite):
    return tiny_suite({}, {"seed": 1})


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "r")
    made.check_writable()
    return made


@pytest.fixture
def launched(two, store, cluster):
    runs = tuple(Planned(spec, None, 6, 6.0, 0.0, 1.0) for spec in two.specs)
    return submit(
        store.root, two.name, pack(runs), Profile.model_validate({}), RunOptions(store.root), lambda text: None
    )


def now(suite, store):
    return [(found.state, found.text, found.alive) for found in run_statuses(suite, store)]


def stop_with_checkpoint(store, run_id, step=3):
    Checkpoints(store.checkpoints(run_id), run_id, "f").folder.mkdir(parents=True)
    Checkpoints(store.checkpoints(run_id), run_id, "f").save(step, {})


def older(launch, monkeypatch):
    """Let the launch look as if it was submitted long ago."""
    monkeypatch.setitem(launch.about, "created", 0.0)
    monkeypatch.setattr(status, "list_submissions", lambda *_: [launch])


def test_without_any_launch(two, store):
    assert now(two, store) == [("pending", "", False)] * 2
    stop_with_checkpoint(store, two.run_ids[0])
    with Lease(store.checkpoints(two.run_ids[1])) as lease:
        lease.first, lease.step, lease.total = 0, 2, 6
        lease._started -= 10
        lease.verify()
        stopped, running = run_statuses(two, store)
    assert (stopped.state, stopped.step) == ("preempted", 3)
    assert (running.state, running.step, running.total, running.alive) == ("running", 2, 6, True)
    assert running.seconds == pytest.approx(20, rel=0.1)


def point(step, seconds):
    return CurvePoint(epoch=step, step=step, gradient_evaluations=step, seconds=seconds, lr=0.1, train_loss=1.0)


@pytest.mark.parametrize(
    ("points", "of_lease", "step", "seconds"),
    [
        ([], 5, 5, 20 / 5 * 4),  # by the lease alone: 9 steps in all, 20 seconds so far
        ([(0, 0.0)], 5, 5, 20 / 5 * 4),
        ([(2, 10.0)], 5, 5, 10 / 2 * 3),  # by the epochs: 8 steps in all
        ([(2, 10.0), (4, 12.0)], 5, 5, 12 / 4 * 3),
        ([(2, 10.0), (4, 12.0)], 3, 4, 12 / 4 * 4),  # an epoch is newer than the lease
        ([(2, 10.0), (4, 12.0)], 8, 8, 0.0),
    ],
)
def test_what_is_left_of_a_run_is_told_by_its_newest_epoch(two, store, points, of_lease, step, seconds):
    with Lease(store.checkpoints(two.run_ids[0])) as lease:
        lease.first, lease.step, lease.total = 0, of_lease, 9
        lease._started -= 20
        lease.verify()
        if points:
            EpochWriter(lease.folder, "x", 8, 8, [point(*one) for one in points])
        running, pending = run_statuses(two, store)
    assert (running.state, running.step, running.total, running.alive) == ("running", step, 8 if points else 9, True)
    assert running.seconds == pytest.approx(seconds, rel=0.1)
    assert len(running.curve) == len(points)
    assert (pending.state, pending.step, pending.total, pending.seconds) == ("pending", 0, 0, None)


def test_a_lease_expires_by_the_time_that_is_given(two, store):
    """One of another machine, whose locks are not seen here: nothing can be read in it."""
    lease = lease_path(store.checkpoints(two.run_ids[0]), 1)
    lease.parent.mkdir(parents=True)
    lease.write_text("being written")
    held, gone = (run_statuses(two, store, now=time.time() + late)[0] for late in (0, 2 * EXPIRY))
    assert (held.state, held.step, held.total, held.seconds, held.job, held.alive) == ("running", 0, 0, None, "", True)
    assert (gone.state, gone.alive) == ("pending", False)
    lease.with_name(EPOCHS).write_text("no line\n{}\n")
    assert run_statuses(two, store)[0].text == "2 lines of its epochs.jsonl are none"


def test_time_is_that_of_the_file_system_where_a_run_has_begun(two, store, monkeypatch):
    monkeypatch.setattr(status, "filesystem_time", pytest.fail)  # it writes
    assert now(two, store) == [("pending", "", False)] * 2
    lease = lease_path(store.checkpoints(two.run_ids[0]), 1)
    lease.parent.mkdir(parents=True)
    lease.write_text("of another machine")
    for late, state in ((0, "running"), (2 * EXPIRY, "pending")):
        monkeypatch.setattr(status, "filesystem_time", lambda root, late=late: time.time() + late)
        assert now(two, store)[0][0] == state


def test_a_record_settles_it(two, store, launched):
    run_spec(two.specs[0], store)
    fake_slurm.set_jobs(state="FAILED", ended=time.time(), accounted=1)
    assert [found.state for found in run_statuses(two, store)] == ["done", "lost"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"reason": "Priority"}, ("pending", "queued: Priority", True)),
        ({"reason": "PartitionTimeLimit"}, ("pending", "queued: PartitionTimeLimit (may never start)", True)),
        ({"reason": "JobArrayTaskLimit"}, ("pending", "queued: JobArrayTaskLimit", True)),
        ({"reason": "QOSMaxJobsPerUserLimit"}, ("pending", "queued: QOSMaxJobsPerUserLimit", True)),
        ({"state": "RUNNING", "accounted": 1}, ("pending", "job running", True)),
        ({"state": "COMPLETED", "accounted": 1, "ended": 1.0}, ("lost", "job ended as COMPLETED", False)),
        ({"state": "OUT_OF_MEMORY", "accounted": 1, "ended": 1.0}, ("lost", "job ended as OUT_OF_MEMORY", False)),
        ({"state": "CANCELLED", "ended": 1.0}, ("lost", "job ended as CANCELLED", False)),
        ({"state": "PREEMPTED", "accounted": 1, "ended": 1.0}, ("lost", "not requeued by this cluster", False)),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_states_of_jobs(two, store, launched, columns, expected):
    fake_slurm.set_jobs(**columns)
    state, text, alive = expected
    for found in now(two, store):
        assert (found[0], text in found[1], found[2]) == (state, True, alive), found
        assert ("may never start" in found[1]) == ("may never start" in text)


def test_the_job_that_goes_on_tells_and_not_the_newest(two, store, launched):
    """Two launches at once: the newer one's job left the held run alone and ended; the older one's was requeued."""
    runs = tuple(Planned(spec, None, 6, 6.0, 0.0, 1.0) for spec in two.specs)
    submit(store.root, two.name, pack(runs), Profile.model_validate({}), RunOptions(store.root), lambda text: None)
    newest = list_submissions(store.root)[-1].arrays()[0].id
    fake_slurm.sql("update jobs set state = 'COMPLETED', accounted = 1, ended = 1 where array = ?", int(newest))
    assert [found[::2] for found in now(two, store)] == [("pending", True)] * 2
    fake_slurm.set_jobs(state="FAILED", accounted=1, ended=1.0)
    assert [found[::2] for found in now(two, store)] == [("lost", False)] * 2


def test_what_ended_before_the_rest_was_cancelled_is_lost(two, store, launched):
    fake_slurm.sql("update jobs set state = 'OUT_OF_MEMORY', accounted = 1, ended = 1 where element = 0")
    cancel_suite(two.name, two.run_ids, store)
    assert sorted(found[0] for found in now(two, store)) == ["cancelled", "lost"]


def test_a_requeued_job_is_preempted_and_not_lost(two, store, launched):
    stop_with_checkpoint(store, two.run_ids[0])
    fake_slurm.set_jobs(reason="BeginTime", restarts=1)
    assert now(two, store)[0] == ("preempted", "queued: BeginTime", True)


def test_a_dead_node_has_time_to_be_replaced(two, store, launched):
    """NODE_FAIL shows for a moment before the requeue; read as final it would be a run lost that is not."""
    fake_slurm.set_jobs(state="NODE_FAIL", ended=time.time(), accounted=1)
    assert {found.state for found in run_statuses(two, store)} == {"preempted"}
    fake_slurm.set_jobs(ended=time.time() - queue.REQUEUE_GRACE_SECONDS - 2)
    assert {found.state for found in run_statuses(two, store)} == {"lost"}


def test_a_job_that_slurm_does_not_know_yet_is_not_lost(two, store, launched, monkeypatch):
    fake_slurm.sql("delete from jobs")
    assert now(two, store)[0] == ("pending", "", True)
    older(launched, monkeypatch)
    assert now(two, store)[0] == ("lost", "SLURM does not know its job", False)


def test_a_persons_own_view_of_the_queue_hides_no_job(two, store, launched, cluster, monkeypatch):
    """Partitions that are hidden, and what ``SQUEUE_`` variables leave out, are asked for all the same."""
    script = cluster / "squeue"
    script.write_text(
        script.read_text().replace(
            "exec", 'case "$1$SQUEUE_PARTITION$SLURM_TIME_FORMAT" in -a) ;; *) exit 0 ;; esac\nexec'
        )
    )
    monkeypatch.setenv("SQUEUE_PARTITION", "short")
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    assert now(two, store)[0] == ("pending", "queued: Priority", True)


def test_a_job_that_somebody_works_in_is_stopped_like_any_process(two, store, monkeypatch):
    """An allocation of salloc is none of ours to cancel, but what runs in it is."""
    monkeypatch.setenv("SLURM_JOB_ID", "777")
    asked = []
    monkeypatch.setattr(stop.os, "kill", lambda pid, number: asked.append(pid))
    with Lease(store.checkpoints(two.run_ids[0])):
        assert stop.stop_local_runs(two.run_ids, store) == (1, [])
    assert asked == [os.getpid()]


def test_a_job_of_ours_is_left_to_the_scheduler(two, store, launched, monkeypatch):
    array = launched.arrays()[0]
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", array.id)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    with Lease(store.checkpoints(two.run_ids[0])):
        assert stop.stop_local_runs(two.run_ids, store) == (0, [])


def test_accounts_serve_where_the_queue_has_forgotten(two, store, launched, monkeypatch):
    fake_slurm.set_jobs(state="TIMEOUT", accounted=1, ended=1.0)
    monkeypatch.setattr(scheduler, "queue", lambda names: {})
    assert {found.text for found in run_statuses(two, store)} == {"job ended as TIMEOUT, exit code 0:0"}


def test_an_element_cancelled_while_it_waited_is_known_from_our_own_notes(two, store, launched, monkeypatch):
    """Such an element never appears in the accounts."""
    launched.remember_cancelled(launched.arrays()[0])
    fake_slurm.sql("delete from jobs")
    older(launched, monkeypatch)
    assert now(two, store) == [("cancelled", "by sambench cancel", False)] * 2


def test_a_silent_scheduler_makes_nothing_lost(two, store, launched, cluster, monkeypatch):
    (cluster / "squeue").write_text('#!/bin/sh\necho "Unable to contact slurm controller" >&2; exit 1\n')
    older(launched, monkeypatch)
    for state, text, _ in now(two, store):
        assert state == "pending"
        assert "SLURM does not answer" in text


def test_a_launch_elsewhere_is_left_alone_without_slurm(two, store, launched, monkeypatch, tmp_path):
    """On a machine without SLURM the records and leases of a cluster's results folder still tell what they know."""
    monkeypatch.setenv("PATH", str(tmp_path))
    older(launched, monkeypatch)
    run_spec(two.specs[0], store)
    assert [found.state for found in run_statuses(two, store)] == ["done", "pending"]


def test_one_question_for_many_launches_and_one_more_where_the_queue_forgot(two, store, launched, cluster, monkeypatch):
    asked = []
    run_command = scheduler.run_command
    monkeypatch.setattr(scheduler, "run_command", lambda *command: asked.append(command[0]) or run_command(*command))
    run_statuses(two, store)
    assert asked == ["squeue"]
    asked.clear()
    fake_slurm.sql("delete from jobs")
    run_statuses(two, store)
    assert asked == ["squeue", "sacct"]


def test_nothing_is_asked_when_all_is_done(two, store, launched, monkeypatch):
    for spec in two.specs:
        run_spec(spec, store)
    monkeypatch.setattr(scheduler, "run_command", None)
    assert {found.state for found in run_statuses(two, store)} == {"done"}


def test_a_damaged_record_is_told(two, store):
    store.path(two.run_ids[0]).write_text("{")
    assert now(two, store)[0][:2] == ("failed", "its record cannot be read; restore the file, or move it away")
