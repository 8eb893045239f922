"""Plans and status: pure, complete, and honest about what the estimate rests on."""

import pytest
import torch

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.suite import Suite, load_suite
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.results.records.store import Store
from sambench.slurm.estimate import steps_per_epoch, train_labels
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
    ],
)
def test_planned_steps_are_those_of_the_run(fields):
    spec = make_spec({**TINY, **fields})
    run = TrainState(spec, load("digits"), CPU)
    _, classes, labels = train_labels(spec, None, None)
    assert steps_per_epoch(spec, labels, classes) == run.sampler.steps


def test_the_table_of_the_base_paper_needs_no_data(tmp_path, monkeypatch):
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 1.0)
    made = make_plan(load_suite("unified-sam-table2"), Store(tmp_path), CPU)
    assert made.gradient_evaluations == (60 * 2 + 3) * 200 * 390
