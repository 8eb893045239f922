"""Schedules of batch, rho and learning rate: exact counts, exact resume across a boundary, what cannot be refused."""

import os
import signal

import pytest
import torch

from sambench.benchmarks.batch_sizes import Timeline, batch_phases
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.tracks import budget_of, fit
from sambench.benchmarks.training.lr_schedule import learning_rate, rho_factor
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.errors import ConfigError, Interrupted
from sambench.results.records.manifest import Track
from sambench.results.records.store import Store
from sambench.slurm.estimate import timeline
from sambench.variants import get_info, list_variants

WITH_RHO = [info.name for info in list_variants() if "rho" in info.hyper]
WITHOUT = [info.name for info in list_variants() if "rho" not in info.hyper]
DOUBLING = {"batch_schedule": "doubling", "epochs": 4, "batch_size": 16, "subset": 100}
GEOMETRIC = {"batch_schedule": "geometric", "epochs": 3, "batch_size": 16, "batch_growth": 2.5, "subset": 100}


def stop_after(step):
    def watch(run):
        def advance(state):
            if state.step == step:
                os.kill(os.getpid(), signal.SIGTERM)

        return advance

    return watch


def test_polynomial_rates_are_those_of_torch():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    theirs = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=20, power=2.0)
    for step in range(20):
        ours = learning_rate(step, 20, lr=0.2, schedule="polynomial", power=2.0, steps_per_epoch=5)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("schedule", "unit", "expected"),
    [
        ("constant", "step", [1.0, 1.0, 1.0, 1.0]),
        ("linear", "step", [1.0, 0.75, 0.5, 0.25]),
        ("linear", "epoch", [1.0, 1.0, 0.5, 0.5]),
        ("cosine", "epoch", [1.0, 1.0, 0.5, 0.5]),
        ("inverse-sqrt", "step", [1.0, 2**-0.5, 3**-0.5, 0.5]),
        ("inverse-sqrt", "epoch", [1.0, 1.0, 2**-0.5, 2**-0.5]),
    ],
)
def test_rho_falls_as_its_schedule_says(schedule, unit, expected):
    factors = [rho_factor(t, 4, schedule=schedule, steps_per_epoch=2, unit=unit) for t in range(4)]
    assert factors == pytest.approx(expected)


def test_a_timeline_counts_every_step():
    phases = batch_phases(make_spec({**GEOMETRIC, "epochs": 5}))
    assert [phase.size for phase in phases] == [16, 20, 25, 32, 40]
    whole = Timeline(phases, lambda size: -(-100 // size))
    assert [whole.start(epoch) for epoch in range(6)] == [0, 7, 12, 16, 20, 23]
    assert [whole.position(epoch, whole.start(epoch)) for epoch in range(5)] == [0, 7, 14, 21, 28]
    assert whole.in_first_batches() == pytest.approx((7 * 16 + 5 * 20 + 4 * 25 + 4 * 32 + 3 * 40) / 16)
    constant = Timeline(batch_phases(make_spec({"epochs": 10**9})), lambda size: 7)
    assert constant.start(10**9) == 7 * 10**9
    assert [constant.position(3, 21 + t) for t in range(7)] == [21 + t for t in range(7)]


@pytest.mark.parametrize("fields", [DOUBLING, GEOMETRIC, {**DOUBLING, "drop_last": False, "sampler": "importance"}])
@pytest.mark.parametrize("variant", ["sgd", "sam"])
def test_counts_are_exact_planned_and_within_the_track(fields, variant, tiny_spec, tmp_path):
    budget = budget_of("G", fields["epochs"])
    spec = fit(tiny_spec(variant=variant, **fields).model_dump(exclude={"hyper"}), "G", budget)
    record = run_spec(spec, Store(tmp_path))
    made = record.counters
    sizes = [phase.size for phase in batch_phases(spec) for _ in range(phase.first, phase.end)]
    if spec.drop_last:
        assert made.samples == sum(100 // size * size for size in sizes)
    planned = timeline(spec, 100)
    assert made.steps == planned.start(spec.epochs)
    cost = get_info(variant).declared_gradients(spec.hyper)
    assert made.gradient_evaluations == pytest.approx(cost * planned.in_first_batches())
    track = Track(name="G", budget=budget, runs=(spec.run_id,))
    assert track.spent(record) == pytest.approx(cost * spec.epochs)
    if spec.drop_last:
        assert made.gradient_evaluations * spec.batch_size <= budget * 100


@pytest.mark.parametrize("stop", [5, 6, 7, 12])
@pytest.mark.parametrize(
    "more", [{}, {"sampler": "importance", "hyper": {"refresh": 0}, "rho_schedule": "cosine", "schedule": "polynomial"}]
)
def test_a_run_resumes_to_the_bit_on_both_sides_of_a_boundary(stop, more, tiny_spec, tmp_path, essence):
    fields = {**DOUBLING, "milestones": (0.25, 0.75)}  # epochs begin at steps 0, 6, 9, 12
    spec = tiny_spec(variant="sam", **{"hyper": {}, **fields, **more})
    whole = run_spec(spec, Store(tmp_path / "whole"))
    store = Store(tmp_path / "parts")
    with pytest.raises(Interrupted, match=f"after step {stop} of 13"):
        run_spec(spec, store, watch=stop_after(stop))
    assert essence(run_spec(spec, store)) == essence(whole)


@pytest.mark.parametrize("name", WITH_RHO)
def test_every_variant_with_a_rho_has_a_schedule_of_it(name, tiny_spec):
    spec = tiny_spec(variant=name, model="wrn10_1", rho_schedule="linear")
    run = TrainState(spec, load("digits"), torch.device("cpu"))
    (group, *_), radius = run.optimizer.param_groups, spec.hyper["rho"]
    others = {key: value for key, value in group.items() if key not in ("params", "rho", "rho_min", "lr")}
    run.begin_epoch(1)
    run.step = 3
    run.set_schedules()
    assert group["rho"] == radius / 2
    assert group.get("rho_min", 0) == spec.hyper.get("rho_min", 0) / 2
    assert {key: value for key, value in group.items() if key in others} == others


@pytest.mark.parametrize("name", WITHOUT)
def test_a_variant_without_a_rho_refuses_a_schedule_of_it(name, tiny_spec):
    with pytest.raises(ConfigError, match=f"rho_schedule='cosine' is not valid: '{name}' has no rho; leave it"):
        tiny_spec(variant=name, rho_schedule="cosine")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "sam", "hyper": {"m": 8}, "batch_schedule": "doubling"}, "m=8 shares a batch of one size"),
        ({"variant": "swa", "batch_schedule": "geometric"}, "'swa' counts epochs of equal length"),
        ({"average": "ema", "batch_schedule": "doubling"}, "'ema' counts epochs of equal length"),
    ],
)
def test_a_batch_schedule_refuses_what_needs_one_size(fields, message, tiny_spec):
    with pytest.raises(ConfigError, match=message):
        tiny_spec(**{"hyper": {}, **fields})


def test_a_batch_that_outgrows_the_data_is_refused_at_the_start(tiny_spec, tmp_path):
    spec = tiny_spec(**{**GEOMETRIC, "batch_growth": 8.0})
    with pytest.raises(ConfigError, match="batch_size=128 exceeds the 100 training samples"):
        TrainState(spec, load("digits"), torch.device("cpu"))
