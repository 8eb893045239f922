"""Plans and status: pure, complete, and honest about what the estimate rests on."""

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from sambench.benchmarks import models
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.suite import Suite, load_suite
from sambench.benchmarks.training.keeping import Keep
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.datasets.source import Source
from sambench.results.records.store import Store
from sambench.slurm import estimate, executor
from sambench.slurm.cluster.profile import Profile
from sambench.slurm.estimate import timeline, train_count, train_labels
from sambench.slurm.plan import Plan, Planned
from sambench.slurm.planning import make_plan
from sambench.slurm.status import run_statuses

CPU = torch.device("cpu")
TINY = {"model": "wrn10_1", "subset": 96, "batch_size": 32, "epochs": 2, "split": "holdout"}


def suite(*specs):
    return Suite("s", "s", "", tuple(make_spec({**TINY, **fields}) for fields in specs))


def test_cost_is_what_the_variants_declare(tmp_path):
    made = make_plan(suite({}, {"variant": "sam"}, {"variant": "is_sam"}), Store(tmp_path), CPU)
    assert [(run.steps, run.gradient_evaluations, run.forward_evaluations) for run in made.runs] == [
        (6, 6, 0),
        (6, 12, 0),
        (6, 12, 6),
    ]
    assert made.gradient_evaluations == 30
    assert made.seconds > 0
    assert "timed on this cpu" in made.basis[0]
    assert not list(tmp_path.iterdir())


def test_what_is_done_is_not_planned_and_serves_the_estimate(tmp_path):
    both, store = suite({}, {"variant": "sam"}), Store(tmp_path)
    record = run_spec(both.specs[0], store)
    made = make_plan(both, store, CPU)
    assert made.done == 1
    assert [run.spec.variant for run in made.runs] == ["sam"]
    assert made.basis == ("wrn10_1 on digits: 1 records of this suite",)
    expected = 12 * record.timing.train_seconds / record.counters.gradient_evaluations
    assert made.seconds == pytest.approx(expected)
    assert [s.state for s in run_statuses(both, store)] == ["done", "pending"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"split": "full"},
        {"subset": None},
        {"drop_last": False, "subset": 100},
        {"imbalance": 4.0, "subset": None},
        {"imbalance": 100.0, "subset": None},
        {"batch_schedule": "doubling", "epochs": 4, "batch_size": 16},
        {"batch_schedule": "geometric", "epochs": 5, "batch_size": 16, "drop_last": False},
    ],
)
def test_planned_steps_are_those_of_the_run(fields):
    spec = make_spec({**TINY, **fields})
    run = TrainState(spec, load("digits"), CPU)
    _, classes, labels = train_labels(spec, None, None)
    planned = timeline(spec, train_count(spec, labels, classes))
    assert planned.start(spec.epochs) == run.oracle.total_steps


def test_imbalanced_samples_are_counted_for_every_seed(tmp_path, monkeypatch):
    """How many there are depends on which classes have a sample more, and with that on the seed."""
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 1.0)
    wanted = suite(*({"imbalance": 2.0, "subset": 95, "batch_size": 1, "seed": seed} for seed in range(6)))
    _, classes, labels = train_labels(wanted.specs[0], None, None)
    counts = [train_count(spec, labels, classes) for spec in wanted.specs]
    assert len(set(counts)) > 1
    assert [run.steps for run in make_plan(wanted, Store(tmp_path), CPU).runs] == [2 * count for count in counts]


def test_the_table_of_the_base_paper_needs_no_data(tmp_path, monkeypatch):
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 1.0)
    made = make_plan(load_suite("unified-sam-table2"), Store(tmp_path), CPU)
    assert made.gradient_evaluations == (100 * 2 + 5 + 5 * 2) * 200 * 390


def test_a_plan_counts_what_is_done_elsewhere_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 2.0)
    wanted, store = suite({}, {"seed": 1}, {"epochs": 4}, {"model": "mlp"}), Store(tmp_path)
    run_spec(wanted.specs[0], store)
    first, second, *_ = wanted.run_ids
    made = make_plan(wanted, store, CPU, elsewhere={first, second, "another"}, keep=Keep.parse("weights@1,50%"))
    assert (made.done, made.elsewhere, len(made.runs)) == (1, 1, 2)
    long, small = (run.spec for run in made.runs)
    labels = train_labels(long, None, None)
    sizes = [estimate.model_bytes(spec, labels[0], labels[1]) for spec in (long, small)]
    assert made.model_bytes == (1 + 2) * sizes[0] + (1 + 1) * sizes[1]  # half of two epochs is the first
    assert made.record_bytes == estimate.record_bytes(long) + estimate.record_bytes(small)
    assert made.checkpoint_bytes == max(estimate.checkpoint_bytes(spec, labels[1]) for spec in (long, small))
    assert make_plan(wanted, store, CPU).model_bytes == 0
    assert [run.seconds for run in made.runs[1:]] == [2.0 * 6]


@pytest.mark.parametrize(
    ("fields", "forwards"),
    [
        ({"hook": "mesa", "hyper": {"mesa_start": 0.5}}, 3),
        ({"variant": "mesa", "hyper": {"mesa_start": 0.5}}, 3),
        ({"average": "swa"}, 3),
        ({"average": "swa", "norm": "group"}, 0),
        ({"sampler": "importance", "hyper": {"refresh": 2}}, 3),
    ],
)
def test_forward_evaluations_of_all_plug_ins_are_planned(tmp_path, monkeypatch, fields, forwards):
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 2.0)
    (run,) = make_plan(suite(fields), Store(tmp_path), CPU).runs
    assert (run.steps, run.gradient_evaluations, run.forward_evaluations) == (6, 6, forwards)
    assert run.seconds == pytest.approx(2.0 * (6 + forwards / 3))


def test_what_a_run_trains_first_takes_time_and_is_none_of_its_cost(tmp_path, monkeypatch):
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 2.0)
    (run,) = make_plan(suite({"init": "adversarial", "init_epochs": 4}), Store(tmp_path), CPU).runs
    assert (run.steps, run.gradient_evaluations, run.seconds) == (6, 6, 2.0 * (6 + 4 * 3))


@pytest.mark.parametrize(
    ("device", "gpu", "here", "timed"),
    [
        ("cpu", "a100", False, "cpu"),
        ("cpu", "", True, "cpu"),
        ("cuda", "a100", True, "cuda"),  # one that is here is measured, whatever it is called
        ("cuda", "", True, "cuda"),
    ],
)
def test_what_is_here_is_timed(tmp_path, monkeypatch, device, gpu, here, timed):
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *told: 1.0 + (told[-1].type == "cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: here)
    made = make_plan(suite({}), Store(tmp_path), torch.device(device), gpu=gpu)
    assert made.basis == (f"wrn10_1 on digits: a gradient evaluation timed on this {timed}, one thread",)
    assert made.seconds == 6 * (1 + (timed == "cuda"))


def test_the_memory_of_a_plan_is_that_of_its_largest_run(tmp_path, monkeypatch):
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 1.0)
    wanted = suite({}, {"model": "wrn16_4"}, {"model": "mlp"})
    assert make_plan(wanted, Store(tmp_path), CPU).memory is None
    shape, classes, labels = train_labels(wanted.specs[0], None, None)
    sizes = [estimate.memory_bytes(spec, shape, classes, train_count(spec, labels, classes)) for spec in wanted.specs]
    assert make_plan(wanted, Store(tmp_path), torch.device("cuda")).memory == max(sizes, key=sum) == sizes[1]


def test_a_plan_without_runs_costs_nothing(tmp_path):
    wanted, store = suite({}), Store(tmp_path)
    made = make_plan(wanted, store, CPU, elsewhere=set(wanted.run_ids))
    assert (made.runs, made.done, made.elsewhere, made.basis, made.memory) == ((), 0, 1, (), None)
    assert (made.checkpoint_bytes, made.record_bytes, made.model_bytes, made.outdated) == (0, 0, 0, 0)
    assert (made.gradient_evaluations, made.seconds, made.wall_seconds(3)) == (0, 0, 0)


def test_records_of_other_suites_do_not_disturb_a_plan(tmp_path):
    mine, other, store = suite({}), suite({"variant": "sam"}), Store(tmp_path)
    run_spec(other.specs[0], store)
    made = make_plan(mine, store, CPU)
    assert (made.done, len(made.runs)) == (0, 1)


@pytest.mark.parametrize("source", [None, Source("digits", "parquet:data")])
def test_a_planned_run_can_be_sent(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned = Planned(make_spec(TINY), source, 6, 6.0, 1.0, 2.5)
    sent = Planned.from_json(json.loads(json.dumps(planned.to_json())))
    assert sent == replace(planned, source=source and Source("digits", f"parquet:{tmp_path / 'data'}"))


def test_a_plan_for_a_device_that_is_not_here_says_what_was_timed(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *told: asked.append(told[-1]) or 1.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    made = make_plan(suite({}, {"variant": "sam"}), Store(tmp_path), torch.device("cuda"))
    assert made.basis == (
        "wrn10_1 on digits: timed on this CPU, as there is no GPU here; a GPU will be many times faster",
    )
    assert asked == [CPU]


@pytest.mark.parametrize(("native", "timed"), [("fp32", "fp32"), ("bf16", "bf16")])
def test_a_precision_that_is_emulated_is_not_timed(native, timed, tmp_path, monkeypatch):
    """It would take minutes a batch, and say nothing of a GPU."""
    used = []
    monkeypatch.setattr("sambench.slurm.estimate.best_precision", lambda device: native)
    monkeypatch.setattr(estimate, "autocast", lambda precision, device: used.append(precision) or nullcontext())
    made = make_plan(suite({"precision": "bf16", "model": "mlp"}), Store(tmp_path), CPU)
    assert set(used) == {timed}
    assert ("in fp32, as bf16 is emulated here" in made.basis[0]) == (native == "fp32")


@pytest.mark.parametrize(("slow", "timed"), [(2, 2), (16, 16), (None, 64)])
def test_the_time_of_a_batch_is_the_median_of_five(slow, timed, monkeypatch):
    """Of as many samples as take no long while; of the last five one waited for others."""
    costs = {2: 0.001, 16: 0.01, 64: 0.05} | {slow: 0.3}
    taken, readings = list[int](), list[float]()
    late = {2: 4, 16: 6, 64: 6}[timed]  # the third of the five, after two of every size that was tried

    def clock():
        end = len(readings) % 2
        readings.append(readings[-1] + costs[taken[-1]] + 9 * (len(taken) - 1 == late) if end else len(readings))
        return readings[-1]

    monkeypatch.setattr(estimate.time, "process_time", clock)
    monkeypatch.setattr(estimate.torch, "rand", lambda n, *shape, device: taken.append(n) or torch.zeros(n, *shape))
    spec = make_spec(TINY | {"batch_size": 64, "model": "mlp"})
    assert estimate.measured_speed(spec, (1, 8, 8), 10, CPU) == pytest.approx(costs[timed] * 64 / timed)
    assert taken == [2, 2, *([16, 16] if timed > 2 else []), *[timed] * 5]


@pytest.mark.parametrize(
    ("seconds", "at_once", "expected"),
    [
        ([], 4, 0),
        ([100], 4, 8 + 101),  # one run is not divided; a process takes 8 s to start, and a run 1 s beside its training
        ([0.01] * 120, 2, 8 + 60.6),  # what is short is mostly beside the training
        ([30, 10, 10, 10], 2, 8 + 32),
        ([50, 10], 2, 8 + 51),
    ],
)
def test_the_time_of_a_plan_counts_whole_runs_and_their_start(tiny_suite, seconds, at_once, expected):
    (spec,) = tiny_suite({}).specs
    runs = tuple(Planned(spec, None, 6, 6.0, 0.0, each) for each in seconds)
    plan = Plan(tiny_suite({}), runs, done=0, elsewhere=0, basis=())
    assert plan.wall_seconds(at_once) == pytest.approx(expected)
    assert (plan.checkpoint_bytes, plan.record_bytes, plan.outdated, plan.model_bytes) == (0, 0, 0, 0)  # unless told


@pytest.mark.parametrize(("native", "said"), [("fp32", True), ("bf16", False)])
def test_a_precision_that_is_emulated_is_said(tiny_suite, monkeypatch, native, said):
    suite = tiny_suite({"precision": "bf16"})
    monkeypatch.setattr(executor, "best_precision", lambda device: native)
    plan = Plan(suite, (Planned(suite.specs[0], None, 6, 6.0, 0.0, 1.0),), done=0, elsewhere=0, basis=())
    told = dict(executor.LocalExecutor("cpu").describe(plan))
    assert ("bf16 is emulated on this cpu" in told.get("precision", "")) == said


@pytest.mark.parametrize("gpu", sorted(estimate._published()))
def test_the_published_peak_of_a_gpu_stands_in_for_a_measurement_and_says_so(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    facts = estimate._published()[gpu]
    assert facts["source"]
    assert 0 < facts["fp32"] < facts["fp16"] < 2000
    large = {"model": "wrn16_4", "batch_size": 4096, "subset": None, "drop_last": False}
    wanted = suite({"precision": "fp16", **large}, {"precision": "bf16", "model": "mlp"})
    made = make_plan(wanted, Store(tmp_path), torch.device("cuda"), gpu=gpu)
    assert f"not measured: 25% of the {facts['fp16']:g} TFLOPS that are published for {gpu} in fp16" in made.basis[0]
    assert f"{facts.get('bf16', facts['fp32']):g} TFLOPS" in made.basis[1]
    flops = models.forward_flops_of("wrn16_4", classes=10, channels=1, image_size=8)
    assert made.runs[0].seconds == pytest.approx(2 * 3 * 4096 * flops / (0.25 * facts["fp16"] * 1e12))
    assert made.runs[1].seconds == pytest.approx(6 * estimate.LEAST_SECONDS)


def test_operations_are_those_of_the_layers():
    layers = 64 * 128 + 128 * 128 + 128 * 10
    assert models.forward_flops_of("mlp", classes=10, channels=1, image_size=8) == 2 * layers


@pytest.mark.parametrize(
    ("fields", "found"),
    [({"gres": "gpu:a100:2"}, "a100"), ({"gpus": 1, "title": "our cluster: H100 nodes"}, "h100"), ({"gpus": 1}, "")],
)
def test_the_gpu_of_a_profile_is_read_from_what_it_asks_for(fields, found):
    assert executor.SlurmExecutor(Profile.model_validate(fields)).gpu_model == found
