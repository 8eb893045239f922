"""Several runs in one process, by turns: each has the bits of the run alone, and its own end."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from sambench.benchmarks.models.registry import Task, register_model
from sambench.benchmarks.suites.suite import Suite
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.signals import Note
from sambench.benchmarks.training.turns import in_turns
from sambench.errors import Interrupted
from sambench.results.records.store import Store
from sambench.slurm import executor as executors
from sambench.slurm import local
from sambench.slurm.cluster import job
from sambench.slurm.cluster.profile import Profile
from sambench.slurm.events import ONGOING, RunEvent
from sambench.slurm.executor import LocalExecutor
from sambench.slurm.local import run_pool
from sambench.slurm.options import RunOptions
from sambench.slurm.plan import Planned
from sambench.slurm.worker import attempt
from sambench.variants import StepRule, load_plugin, register

CPU = torch.device("cpu")
VARIED = (
    {"variant": "sam", "model": "wet", "accumulate": 2},  # draws units to drop
    {"variant": "gsam", "model": "wrn10_1", "epochs": 3, "schedule": "cosine"},  # BatchNorm, a radius that moves
    {"variant": "rsam", "average": "ema", "augment": "crop:1,flip"},  # draws noise
    {"variant": "vasso", "precision": "bf16", "clip": 1.0},  # remembers a direction
    {"variant": "looksam", "base": "adamw", "lr": 1e-3, "sampler": "importance"},
)
"""More runs than places."""


@pytest.fixture(autouse=True)
def _wet() -> None:
    @register_model("wet", "drops half of its units")
    def wet(task: Task) -> nn.Module:
        pixels = task.channels * task.image_size**2
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10))


@pytest.fixture
def plan(tiny_suite) -> Callable[..., tuple[Planned, ...]]:
    return lambda *fields: tuple(Planned(spec, None, 6, 6.0, 0.0, 1.0) for spec in tiny_suite(*fields).specs)


class Pool:
    """Makes runs in turns in this process.

    Args:
        options: how.
        after: called after every step, with the number of the run and of the step.
    """

    def __init__(self, options: RunOptions, after: Callable[[int, int], object] = lambda number, step: None):
        self.options, self.after = options, after
        self.events: list[RunEvent] = []
        self.order: list[int] = []

    def run(self, runs: tuple[Planned, ...], places: int = 3) -> dict[str, str]:
        begun = set[int]()

        def make(number: int, hand_on: Callable[[], None]) -> None:
            begun.add(number)
            while len(begun) < min(places, len(runs)):  # else the first one is far ahead of the last
                hand_on()
            calls = 0

            def after() -> None:
                nonlocal calls
                calls += 1
                self.order.append(number)
                self.after(number, calls)
                torch.rand(1)  # whoever draws in between changes nothing
                hand_on()

            self.events.append(attempt(runs[number], self.options, CPU, self.events.append, 0, after))

        with in_turns(places, make, CPU) as put:
            for number in range(len(runs)):
                put(number)
        return {event.run.spec.run_id: event.kind for event in self.events if event.kind not in ONGOING}


def test_each_run_has_the_bits_of_the_run_alone(plan, tmp_path, essence):
    runs = plan(*VARIED)
    pool = Pool(RunOptions(tmp_path / "together"))
    ended = pool.run(runs)
    assert list(ended.values()) == ["completed"] * len(VARIED)
    assert pool.order[:3] * 4 == pool.order[:12], "steps of three runs, in turns"
    at = {(event.run.spec.run_id, event.kind): number for number, event in enumerate(pool.events)}
    longest, fourth = runs[1].spec.run_id, runs[3].spec.run_id
    assert at[fourth, "started"] < at[longest, "completed"], "the next run takes the place of the first that ended"
    for run in runs:
        alone = run_spec(run.spec, Store(tmp_path / "alone"))
        record = Store(tmp_path / "together").read(alone.run_id)
        assert record.weights == alone.weights
        assert essence(record) == essence(alone)
        assert (record.environment.runs_in_process, alone.environment.runs_in_process) == (3, None)
        assert record.peak_memory is None
        assert alone.peak_memory is not None


def test_one_diverges_one_fails_one_is_refused_one_leaves_and_the_others_complete(plan, tmp_path, essence):
    @register("raises_it", summary="fails", paper=None, gradients=1)
    class Fails(StepRule):
        """Fails."""

        def update(self, closure: Any) -> Any:
            raise RuntimeError("on purpose")

    @register("leaves", summary="ends the process", paper=None, gradients=1)
    class Leaves(StepRule):
        """Ends the process."""

        def update(self, closure: Any) -> Any:
            raise SystemExit(3)

    fields = ({"variant": "sam"}, {"lr": 1e30}, {"variant": "raises_it"}, {"variant": "leaves"}, {"seed": 1})
    runs = plan(*fields)
    refused = replace(plan({"dataset": "cifar10"})[0])
    pool = Pool(RunOptions(tmp_path / "together", data_root=str(tmp_path / "nothing")))
    ended = pool.run((*runs, refused))
    assert list(map(ended.get, (run.spec.run_id for run in (*runs, refused)))) == [
        *("completed", "diverged", "failed", "failed", "completed", "failed")
    ]
    store = Store(tmp_path / "together")
    assert store.read(runs[2].spec.run_id).error == "RuntimeError: on purpose"
    for number in (0, 4):
        alone = run_spec(runs[number].spec, Store(tmp_path / "alone"))
        assert essence(store.read(alone.run_id)) == essence(alone)


@pytest.fixture
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)}
    sigint = signal.getsignal(signal.SIGINT)
    yield
    for number, handler in {**before, signal.SIGINT: sigint}.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
def test_a_signal_stops_all_and_what_was_stopped_ends_in_the_same_bits(plan, tmp_path, essence):
    runs, options, note = plan(*VARIED[:3]), RunOptions(tmp_path / "together"), Note()
    signal.signal(signal.SIGTERM, note)

    def after(number: int, calls: int) -> None:
        if (number, calls) == (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)
            while not note.came:  # the main thread hears of it
                time.sleep(0.001)

    pool = Pool(options, after)
    assert {*pool.run(runs).values()} == {"interrupted"}
    store = Store(options.results)
    assert all(any(store.checkpoints(run.spec.run_id).glob("step-*.pt")) for run in runs)
    assert max(map(pool.order.count, range(3))) <= 3
    signal.signal(signal.SIGTERM, Note())
    assert {*Pool(options).run(runs).values()} == {"completed"}
    for run in runs:
        assert essence(store.read(run.spec.run_id)) == essence(run_spec(run.spec, Store(tmp_path / "alone")))


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("places", [1, 2])
def test_a_worker_whose_parent_is_gone_writes_checkpoints_and_ends(plan, tmp_path, places):
    """The function of the worker process, in this one; a thread is its parent."""
    runs = plan(*({"seed": seed, "epochs": 4000} for seed in range(places)))
    ours, theirs = multiprocessing.Pipe()

    def parent() -> None:
        for run in runs:
            ours.send(run)
        for _ in runs:
            assert ours.recv().kind == "started"
        while ours.recv().kind != "step":
            pass
        ours.close()

    thread = threading.Thread(target=parent)
    thread.start()
    local._work(theirs, 0, places, RunOptions(tmp_path / "r", device="cpu"))
    thread.join()
    store = Store(tmp_path / "r")
    assert all(any(store.checkpoints(run.spec.run_id).glob("step-*.pt")) for run in runs)
    assert not store.run_ids()


DIES = '''
import os
from sambench.variants import StepRule, register

@register("dies_of_it", summary="dies", paper=None, gradients=1)
class Dies(StepRule):
    """Dies."""

    def update(self, closure):
        os._exit(9)
'''


@pytest.mark.slow  # starts two processes
def test_a_crash_takes_the_runs_of_its_process_and_the_rest_go_on_in_another(plan, tmp_path):
    plugin = tmp_path / "dies.py"
    plugin.write_text(DIES)
    load_plugin(plugin)
    runs = plan({"epochs": 4000}, {"variant": "dies_of_it"}, {"variant": "sam"}, {"variant": "usam"})
    options, events = RunOptions(tmp_path / "r", device="cpu", plugins=(str(plugin),)), []
    ended = run_pool(runs, options, 2, events.append, processes=1)
    assert [ended[run.spec.run_id] for run in runs] == ["lost", "lost", "completed", "completed"]
    assert {event.text for event in events if event.kind == "lost"} == {"the worker process ended with exit code 9"}
    assert {event.worker for event in events} == {0}


@pytest.mark.slow  # starts two processes
@pytest.mark.parametrize("asked", ["the scheduler", "a signal to the worker"])
def test_a_pool_that_is_asked_to_stop_has_a_checkpoint_of_each_run(plan, tmp_path, asked):
    runs = plan(*({"seed": seed, "epochs": 4000} for seed in range(4)))
    store, stepped, options = Store(tmp_path / "r"), set[str](), RunOptions(tmp_path / "r", device="cpu")

    def listen(event: RunEvent) -> None:
        if event.kind == "step":
            stepped.add(event.run.spec.run_id)
            if len(stepped) == 3 and asked != "the scheduler":
                (child,) = multiprocessing.active_children()
                os.kill(child.pid or 0, signal.SIGTERM)
                stepped.clear()

    if asked == "the scheduler":
        ended = run_pool(runs, options, 3, listen, lambda: len(stepped) == 3, processes=1)
        assert list(ended.values()) == ["interrupted"] * 3
    else:
        with pytest.raises(Interrupted, match="of 4 runs ended, the others wrote checkpoints"):
            run_pool(runs, options, 3, listen, processes=1)
    begun = [any(store.checkpoints(run.spec.run_id).glob("step-*.pt")) for run in runs]
    assert begun == [True, True, True, False]


@pytest.mark.parametrize(
    ("runs", "at_once", "processes", "places"),
    [(24, 24, 8, [3] * 8), (5, 24, 8, [1] * 5), (9, 5, 3, [2, 2, 1]), (4, 4, None, [1] * 4), (2, 8, None, [1, 1])],
)
def test_runs_are_spread_over_processes(monkeypatch, plan, tmp_path, runs, at_once, processes, places):
    made: list[int] = []

    class Worker:
        def __init__(self, number: int, options: RunOptions, places: int):
            self.runs = dict[str, Planned]()
            made.append(places)

        def give(self, todo: Any) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr(local, "_Worker", Worker)
    planned = plan(*({"seed": seed} for seed in range(runs)))
    run_pool(planned, RunOptions(tmp_path), at_once, lambda event: None, processes=processes)
    assert made == places


@pytest.mark.parametrize(
    ("settings", "at_once", "processes"),
    [
        ({"runs_per_gpu": 3}, 6, 2),
        ({"runs_per_gpu": 3, "isolate": True}, 6, 6),
        ({"runs_per_gpu": 3, "workers": 2}, 2, 2),
        ({"runs_per_gpu": 3, "workers": 10}, 10, 4),
        ({"workers": 5}, 5, 5),
        ({"device_name": "cpu", "workers": 3}, 3, 3),
    ],
)
def test_runs_on_one_gpu_share_a_process_unless_they_are_isolated(monkeypatch, tmp_path, settings, at_once, processes):
    monkeypatch.setattr(executors, "pick_gpus", lambda wanted: (0, 1))
    monkeypatch.setattr(executors, "run_pool", lambda *given, **named: {"at once": given[2], **named})
    executor = LocalExecutor(**settings)
    nothing = executors.Plan(Suite("s", "s", "", ()), (), 0, 0, (), 0, 0, 0)
    found = executor.run(nothing, RunOptions(tmp_path), lambda event: None)
    assert found == {"at once": at_once, "processes": processes}
    assert (executor.alone(1).at_once, executor.alone(1).processes) == (1, 1)


@pytest.mark.parametrize(
    ("fields", "processes"),
    [
        ({"gpus": 2, "runs_per_gpu": 3}, 2),
        ({"gres": "gpu:a100:1", "runs_per_gpu": 3}, 1),
        ({"gpus": 2, "runs_per_gpu": 3, "isolate": True}, 6),
        ({"gpus": 2, "runs_per_gpu": 17, "isolate": True}, 12),
        ({"gpus": 2}, 2),
        ({"runs_per_gpu": 30}, 12),
        ({"gpus": 1, "device": "cpu", "runs_per_gpu": 3}, 3),
    ],
)
def test_jobs_put_runs_into_processes_as_their_profile_says(monkeypatch, plan, tmp_path, fields, processes):
    profile = Profile.model_validate({**fields, "runs_per_job": 12})
    assert profile.processes == processes
    runs, signals, given = plan({}, {"seed": 1}), job.Signals.__new__(job.Signals), []
    signals._end = Note()

    def pool(runs: tuple[Planned, ...], *more: Any) -> dict[str, str]:
        given.append(more[-1])
        return {run.spec.run_id: "completed" for run in runs}

    monkeypatch.setattr(job, "run_pool", pool)
    job.work(runs, RunOptions(tmp_path), profile.at_a_time, signals, tmp_path / "n", profile.processes)
    assert given == [processes]
