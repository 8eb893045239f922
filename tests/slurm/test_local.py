"""The pool: one run that fails or a worker that dies stops nothing else; a machine with GPUs uses all of them.

No GPU is needed: what torch says of them is made up.
"""

import inspect
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sambench.benchmarks import device as devices
from sambench.benchmarks import models
from sambench.benchmarks.device import only_gpus
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.suite import Suite
from sambench.benchmarks.training.keeping import Keep
from sambench.benchmarks.training.run import run_spec
from sambench.errors import ConfigError
from sambench.results.records.store import Store
from sambench.slurm import local
from sambench.slurm.executor import make_executor
from sambench.slurm.local import run_pool
from sambench.slurm.options import RunOptions
from sambench.slurm.planning import make_plan
from sambench.slurm.status import run_statuses

PLUGIN = '''
import os
from sambench.variants import StepRule, register

@register("{name}", summary="fails", paper=None, gradients=1)
class Fails(StepRule):
    """Fails."""

    def update(self, closure):
        {action}
'''


@pytest.fixture
def options(tmp_path):
    from sambench.variants import load_plugin

    plugins = []
    for name, action in (("raises_it", "raise RuntimeError('on purpose')"), ("dies_of_it", "os._exit(9)")):
        path = tmp_path / f"{name}.py"
        path.write_text(PLUGIN.format(name=name, action=action))
        plugins.append(str(path))
    for plugin in plugins:
        load_plugin(plugin)
    return RunOptions(tmp_path / "results", device="cpu", plugins=tuple(plugins))


def test_failures_stay_alone(options):
    fields = {"model": "mlp", "subset": 96, "batch_size": 32, "epochs": 1}
    names = ("raises_it", "sgd", "dies_of_it", "sam")
    suite = Suite("s", "s", "", tuple(make_spec({**fields, "variant": name}) for name in names))
    store = Store(options.results)
    plan = make_plan(suite, store, torch.device("cpu"))
    heard = []
    ended = run_pool(plan.runs, options, 1, heard.append)
    assert [ended[spec.run_id] for spec in suite.specs] == ["failed", "completed", "lost", "completed"]
    assert [s.state for s in run_statuses(suite, store)] == ["failed", "done", "pending", "done"]
    assert store.read(suite.specs[0].run_id).error == "RuntimeError: on purpose"
    lost = next(event for event in heard if event.kind == "lost")
    assert "exit code 9" in lost.text


def test_a_run_that_a_dead_worker_was_to_get_is_made_by_another(options, monkeypatch):
    """The worker is killed after it was seen alive, and before it is given its next run."""
    fields = {"model": "mlp", "subset": 96, "batch_size": 32, "epochs": 1, "variant": "sgd"}
    suite = Suite("s", "s", "", tuple(make_spec({**fields, "seed": seed}) for seed in range(3)))
    plan, killed = make_plan(suite, Store(options.results), torch.device("cpu")), []

    class Killed(local._Worker):
        def give(self, todo):
            if len(todo) == 2:
                process, seen = self.process, iter([True])
                monkeypatch.setattr(process, "is_alive", lambda: next(seen, False))
                process.kill()
                process.join()
                killed.append(process.exitcode)
            super().give(todo)

    monkeypatch.setattr(local, "_Worker", Killed)
    assert set(run_pool(plan.runs, options, 1, lambda event: None).values()) == {"completed"}
    assert killed == [-signal.SIGKILL]


@pytest.fixture
def gpus(monkeypatch):
    """Let torch see so many GPUs: as many as CUDA_VISIBLE_DEVICES leaves of them."""

    def see(count, visible=None):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
            count = len(visible.split(","))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
        monkeypatch.setattr(
            devices, "pick_device", lambda name="auto": torch.device("cuda" if name == "auto" else name)
        )

    return see


@pytest.mark.parametrize(
    ("count", "visible", "settings", "at_once", "used"),
    [
        (1, None, {}, 1, {0}),
        (4, None, {}, 4, {0, 1, 2, 3}),
        (8, None, {}, 8, set(range(8))),
        (8, None, {"runs_per_gpu": 3}, 24, set(range(8))),
        (8, None, {"gpus": (0, 2)}, 2, {0, 2}),
        (4, "1,3", {}, 2, {0, 1}),  # two cards are hidden; torch numbers the others anew
        (4, "1,3", {"gpus": (1,), "runs_per_gpu": 2}, 2, {1}),
        (4, None, {"workers": 2}, 2, {0, 1}),
    ],
)
def test_every_gpu_has_its_share_of_the_workers(gpus, count, visible, settings, at_once, used):
    gpus(count, visible)
    executor = make_executor("local", **settings)
    assert executor.at_once == at_once
    options = executor.fit(RunOptions(Path("r")))
    places = Counter(options.prepare(worker).index for worker in range(executor.at_once))
    assert set(places) == used
    assert len({*places.values()}) == 1
    assert executor.alone(2).at_once == 1


def test_a_gpu_that_is_named_as_the_device_is_the_only_one(gpus):
    gpus(4)
    executor = make_executor("local", device_name="cuda:2", workers=2)
    options = executor.fit(RunOptions(Path("r")))
    assert [options.prepare(worker) for worker in range(2)] == [torch.device("cuda:2")] * 2


@pytest.mark.parametrize(
    ("count", "visible", "settings", "message"),
    [
        (4, None, {"gpus": (0, 4)}, "there is no GPU 4 here; valid: 0, 1, 2, 3"),
        (4, "1,3", {"gpus": (3,)}, "there is no GPU 3 under CUDA_VISIBLE_DEVICES=1,3; valid: 0, 1"),
        (4, None, {"gpus": (1, 1)}, "name each GPU once"),
        (0, None, {"gpus": (0,)}, "there is no GPU 0 here; valid: none"),
        (4, None, {"gpus": (0,), "device_name": "cpu"}, "mean nothing on device 'cpu'"),
        (0, None, {"runs_per_gpu": 2}, "--workers says how many"),
        (4, None, {"runs_per_gpu": 17}, "more than the 16 that one process has streams for"),
        (4, None, {"devices": 8}, "needs 8 GPUs; there are 4"),
        (4, None, {"devices": 2, "runs_per_gpu": 2}, "leave runs_per_gpu at 1"),
        (4, None, {"devices": 2, "device_name": "cuda:1"}, "device at auto"),
    ],
)
def test_gpus_that_cannot_be_had_are_refused(gpus, count, visible, settings, message):
    gpus(count, visible)
    with pytest.raises(ConfigError, match=message):
        make_executor("local", **settings)


@pytest.mark.parametrize(
    ("before", "numbers", "seen"),
    [(None, (2, 3), "2,3"), ("4,6", (1,), "6"), ("GPU-8932f937,GPU-7a1b,MIG-x", (0, 2), "GPU-8932f937,MIG-x")],
)
def test_processes_of_a_run_on_several_gpus_see_their_own(monkeypatch, before, numbers, seen):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    for _ in range(2):
        with only_gpus(numbers):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == seen
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


def test_runs_on_several_devices_share_the_gpus_of_the_machine(gpus):
    gpus(8)
    executor = make_executor("local", devices=4)
    assert executor.at_once == 2
    assert executor.fit(RunOptions(Path("r"))).devices == 4


def test_the_plan_says_what_a_run_takes_of_a_gpu(gpus, tiny_suite, tmp_path, monkeypatch):
    gpus(4)
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 1.0)
    suite = tiny_suite({"variant": "sam", "model": "wrn16_4", "precision": "bf16"}, {"model": "mlp"})
    plan = make_plan(suite, Store(tmp_path), torch.device("cuda"))
    # weights, gradients, momentum and a copy within a step, and images of 8x8
    parameters = models.parameters_of("wrn16_4", classes=10, channels=1, image_size=8)
    assert plan.memory.fixed == 4 * (3 + 1) * parameters + 96 * 64
    whole = models.activation_bytes_of("wrn16_4", batch=32, classes=10, channels=1, image_size=8)
    assert plan.memory.activations == whole // 2
    told = dict(make_executor("local", gpus=(0, 2), runs_per_gpu=2).describe(plan))
    assert told["GPUs"] == "0, 2"
    assert "2 runs at a time" in told["memory of a GPU"]
    assert "CUDA and its workspaces come on top" in told["memory of a GPU"]
    assert make_plan(suite, Store(tmp_path), torch.device("cpu")).memory is None
    single = make_plan(replace(suite, specs=suite.specs[1:]), Store(tmp_path), torch.device("cuda"))
    assert sum(single.memory) < sum(plan.memory)


@pytest.mark.slow  # starts two processes for each run
def test_runs_on_several_devices_fail_and_complete_each_for_itself(options, tmp_path):
    fields = {"model": "mlp", "subset": 96, "batch_size": 32, "epochs": 1}
    suite = Suite("s", "s", "", tuple(make_spec({**fields, "variant": name}) for name in ("raises_it", "sam")))
    store, events = Store(options.results), []
    plan = make_plan(suite, store, torch.device("cpu"))
    ended = run_pool(plan.runs, replace(options, devices=2), 1, events.append)
    assert [ended[spec.run_id] for spec in suite.specs] == ["failed", "completed"]
    assert "RuntimeError: on purpose" in next(event.text for event in events if event.kind == "failed")
    assert store.read(suite.specs[1].run_id).environment.devices == 2


def test_every_option_reaches_every_run(tmp_path):
    """In this process, in a group of devices and in a task of srun alike: they take it from one place."""
    each = {"spec", "store", "source", "device", "watch", "process_group"}  # of the run, not of all of them
    each |= {"beginnings"}  # of a run that is made again, in a folder of its own
    given = RunOptions(tmp_path, keep="weights", log_to="x", cuda_graph=True, compiler="eager").of_a_run()
    assert given.keys() == inspect.signature(run_spec).parameters.keys() - each
    assert (given["log_to"], given["cuda_graph"], given["compiler"], given["keep"]) == ("x", True, "eager", Keep())
