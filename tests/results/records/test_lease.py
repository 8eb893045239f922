"""Leases: one holder at a time, on one machine and on many, also when a holder dies or stops renewing."""

import json
import multiprocessing
import os
import signal
import time

import pytest

from sambench.benchmarks.training.checkpoint import Checkpoints
from sambench.benchmarks.training.run import run_spec
from sambench.results.records import lease as module
from sambench.results.records.lease import Held, Lease, LeaseLost, filesystem_time, lease_status
from sambench.results.records.store import Store

# children that touch files alone; a worker of the tests may have imported a library that warns of forks
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ("a" * 64)


@pytest.fixture
def elsewhere(monkeypatch):
    """Make holders look like processes of other machines, whose locks cannot be seen here."""
    monkeypatch.setattr(module, "_same_kernel", lambda found: False)


def age(folder, seconds):
    """Set the last renewal of the newest lease so many seconds into the past."""
    path = max(folder.glob("lease-*"))
    then = filesystem_time(folder) - seconds
    os.utime(path, (then, then))


def test_one_holder_at_a_time(folder):
    with Lease(folder) as lease:
        lease.step, lease.total = 3, 10
        lease.verify()
        held, holder = lease_status(folder)
        assert (held, holder.pid, holder.step, holder.total) == (True, os.getpid(), 3, 10)
        with pytest.raises(Held, match=rf"process {os.getpid()}"):
            Lease(folder).take()
    assert lease_status(folder) == (False, None)
    assert not folder.exists()
    with Lease(folder):
        pass


def test_a_holder_elsewhere_that_does_not_renew_loses_its_lease_after_the_expiry_and_stops(folder, elsewhere):
    first = Lease(folder, beat=999).take()
    age(folder, module.EXPIRY - 30)
    with pytest.raises(Held):
        Lease(folder).take()
    age(folder, module.EXPIRY + 30)
    assert not lease_status(folder)[0]
    with Lease(folder) as second:
        assert second.generation == 2
        with pytest.raises(LeaseLost, match="taken over by another process"):
            first.verify()
        first.release()  # does not release the lease of its successor
        second.verify()
        assert lease_status(folder)[0]


def test_a_generation_that_was_released_and_taken_again_is_not_ours(folder, elsewhere):
    first = Lease(folder, beat=999).take()
    age(folder, module.EXPIRY + 30)
    with Lease(folder, beat=999) as second:
        assert second.generation == 2
    with Lease(folder, beat=999) as third:
        assert third.generation == first.generation == 1
        with pytest.raises(LeaseLost):
            first.verify()
        first.release()
        third.verify()


def test_a_dead_holder_on_this_machine_is_noticed_at_once(folder):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def hold():
        Lease(folder).take()
        theirs.send("held")
        signal.pause()

    process = context.Process(target=hold)
    process.start()
    ours.recv()
    with pytest.raises(Held):
        Lease(folder).take()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with Lease(folder) as lease:
        assert lease.generation == 2


def test_renewals_keep_the_lease(folder, elsewhere):
    with Lease(folder, beat=0.02):
        age(folder, module.EXPIRY + 1)
        end = time.monotonic() + 20
        while not lease_status(folder)[0] and time.monotonic() < end:
            time.sleep(0.02)
        assert lease_status(folder)[0]


def test_a_takeover_is_noticed_by_the_thread(folder, elsewhere):
    with Lease(folder, beat=0.02) as lease:
        (folder / "lease-000009").write_bytes(b"")
        end = time.monotonic() + 20
        while not lease.lost and time.monotonic() < end:
            time.sleep(0.02)
        assert lease.lost
    assert (folder / "lease-000009").exists()


def test_a_holder_that_cannot_renew_gives_up_only_when_others_may_take_over(folder, monkeypatch):
    with Lease(folder, beat=999) as lease:
        monkeypatch.setattr(module.os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        lease.verify()
        lease._renewed -= module.EXPIRY + 1
        with pytest.raises(LeaseLost):
            lease.verify()


def test_a_folder_that_cannot_be_listed_for_a_moment_is_no_takeover(folder, monkeypatch):
    with Lease(folder, beat=999) as lease:
        with monkeypatch.context() as patch:
            patch.setattr(module.os, "listdir", lambda *_: (_ for _ in ()).throw(OSError(24, "Too many open files")))
            lease._touch()
            assert not lease.lost
        lease.verify()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"host": 3}',
        b'{"host": "h", "boot": "b", "pid": true}',
        b'{"host": "h", "boot": "b", "pid": 1, "step": 1e400}',
        b'{"host": "h", "boot": "b", "pid": 1, "more": 1}',
        b"9" * 5000,
        b"\xff" * 10**6,
    ],
)
def test_a_lease_with_other_content_has_no_holder_and_expires(folder, content):
    folder.mkdir(parents=True)
    (folder / "lease-000001").write_bytes(content)
    assert lease_status(folder) == (True, None)
    age(folder, module.EXPIRY + 1)
    assert lease_status(folder) == (False, None)


def test_nobody_waits_for_a_time_in_the_future(folder):
    folder.mkdir(parents=True)
    (folder / "lease-000001").write_bytes(b"")
    age(folder, -10 * module.EXPIRY)
    with Lease(folder) as lease:
        assert lease.generation == 2


def test_stray_names_are_no_leases(folder):
    folder.mkdir(parents=True)
    (folder / "lease-000003").mkdir()
    os.mkfifo(folder / "lease-000004")
    (folder / "lease-000005").symlink_to("lease-000005")
    strays = ["lease-abc", "lease-1", "lease-0000006", "lease-²", f"lease-{'9' * 200}²"]
    for name in strays:
        (folder / name).write_text("")
    with Lease(folder) as lease:
        assert lease.generation == 6
        lease.verify()
    assert set(os.listdir(folder)) == {"lease-000003", *strays}


def _compete(folder, start, wins):
    start.wait()
    try:
        lease = Lease(folder).take()
    except Held:
        return
    wins.put(os.getpid())
    time.sleep(0.3)
    lease.release()


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_at_once_one_wins(folder, stale):
    """Also when all of them see an expired lease at the same time."""
    context = multiprocessing.get_context("fork")
    if stale:
        folder.mkdir(parents=True)
        (folder / "lease-000007").write_text(json.dumps({"host": "h", "boot": "b", "pid": 1}))
        age(folder, module.EXPIRY + 1)
    start, wins = context.Barrier(8), context.SimpleQueue()
    crowd = [context.Process(target=_compete, args=(folder, start, wins)) for _ in range(8)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    assert [process.exitcode for process in crowd] == [0] * 8
    wins.get()
    assert wins.empty()


def test_a_run_that_lost_its_lease_writes_neither_checkpoint_nor_record(tiny_spec, tmp_path, elsewhere, essence):
    """A worker wakes up after another one took over: it stops, and the files of the other one are unchanged."""
    store, spec = Store(tmp_path / "r"), tiny_spec()
    folder = store.checkpoints(spec.run_id)
    made = []

    def overtaken(run):
        def advance(state):
            if state.step == 2 and not made:
                age(folder, module.EXPIRY + 1)
                made.append(run_spec(spec, store))
                assert not folder.exists()

        return advance

    with pytest.raises(LeaseLost):
        run_spec(spec, store, checkpoint_seconds=0, watch=overtaken)
    assert store.read(spec.run_id) == made[0]
    assert not Checkpoints(folder, spec.run_id, "").newest_step()
    assert essence(made[0]) == essence(run_spec(spec, Store(tmp_path / "alone")))
