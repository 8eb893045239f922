"""Plans and status: pure, complete, and honest about what the estimate rests on."""

import pytest
import torch

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.suite import Suite, load_suite
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.results.records.store import Store
from sambench.slurm import executor
from sambench.slurm.estimate import timeline, train_count, train_labels
from sambench.slurm.plan import RUN_SECONDS, START_SECONDS, Plan, Planned
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


def test_the_table_of_the_base_paper_needs_no_data(tmp_path, monkeypatch):
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 1.0)
    made = make_plan(load_suite("unified-sam-table2"), Store(tmp_path), CPU)
    assert made.gradient_evaluations == (60 * 2 + 3) * 200 * 390


@pytest.mark.parametrize(
    ("seconds", "at_once", "expected"),
    [
        ([], 4, 0),
        ([100], 4, 100 + RUN_SECONDS + START_SECONDS),  # one run is not divided
        ([0.01] * 120, 2, 0.6 + 60 * RUN_SECONDS + START_SECONDS),  # what is short is mostly beside the training
        ([30, 10, 10, 10], 2, 31 + RUN_SECONDS + START_SECONDS),
    ],
)
def test_the_time_of_a_plan_counts_whole_runs_and_their_start(tiny_suite, seconds, at_once, expected):
    (spec,) = tiny_suite({}).specs
    runs = tuple(Planned(spec, None, 6, 6.0, 0.0, each) for each in seconds)
    plan = Plan(tiny_suite({}), runs, done=0, elsewhere=0, basis=())
    assert plan.wall_seconds(at_once) == pytest.approx(expected)


@pytest.mark.parametrize(("native", "said"), [("fp32", True), ("bf16", False)])
def test_a_precision_that_is_emulated_is_said(tiny_suite, monkeypatch, native, said):
    suite = tiny_suite({"precision": "bf16"})
    monkeypatch.setattr(executor, "best_precision", lambda device: native)
    plan = Plan(suite, (Planned(suite.specs[0], None, 6, 6.0, 0.0, 1.0),), done=0, elsewhere=0, basis=())
    told = dict(executor.LocalExecutor("cpu").describe(plan))
    assert ("bf16 is emulated on this cpu" in told.get("precision", "")) == said
