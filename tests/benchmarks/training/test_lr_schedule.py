"""Schedules against torch's own, against their formulas, and at their end points."""

import math

import pytest
import torch

from sambench.benchmarks.training.lr_schedule import learning_rate, rho_factor


def curve(total=40, **settings):
    settings = {"lr": 0.2, "schedule": "cosine", "steps_per_epoch": 10, **settings}
    return [learning_rate(step, total, **settings) for step in range(total)]


def of_torch(scheduler, total=40, **settings):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    schedule = scheduler(optimizer, **settings)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_cosine_is_that_of_torch():
    assert curve() == pytest.approx(of_torch(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=40), rel=1e-9, abs=1e-15)


def test_multistep_is_that_of_torch():
    found = curve(schedule="multistep", milestones=(0.5, 0.75), gamma=0.1)
    assert found == pytest.approx(of_torch(torch.optim.lr_scheduler.MultiStepLR, milestones=[20, 30], gamma=0.1))


def test_constant():
    assert set(curve(schedule="constant")) == {0.2}


def test_warm_up_is_linear_and_ends_at_the_peak():
    rates = curve(schedule="constant", warmup_epochs=1.0)
    assert rates[:10] == pytest.approx([0.02 * (t + 1) for t in range(10)])
    assert rates[10] == 0.2


def test_cosine_after_warm_up_ends_near_zero():
    rates = curve(warmup_epochs=1.0)
    assert rates[10] == 0.2
    assert rates[-1] == pytest.approx(0.1 * (1 + math.cos(math.pi * 29 / 30)))


def test_by_epoch_the_rate_stands_still_within_an_epoch():
    rates = curve(unit="epoch")
    assert [len(set(rates[i : i + 10])) for i in range(0, 40, 10)] == [1, 1, 1, 1]
    assert rates[::10] == curve()[::10]


def test_a_shape_takes_the_place_of_the_schedule_where_it_has_a_factor():
    """As weight averages stretch it: of the whole run, after the warm-up, and nowhere else."""
    rates = curve(shape=lambda share: None if share < 0.5 else share / 4, warmup_epochs=1.0)
    assert rates[:20] == curve(warmup_epochs=1.0)[:20]
    assert rates[20:] == pytest.approx([0.2 * t / 40 / 4 for t in range(20, 40)])
    assert curve(shape=lambda share: 0.5, warmup_epochs=1.0)[:10] == curve(warmup_epochs=1.0)[:10]


def test_without_a_warm_up_the_first_step_has_the_peak():
    assert curve()[0] == 0.2
    assert curve(schedule="multistep", milestones=(0.25,), warmup_epochs=0.5)[4:11] == pytest.approx([0.2] * 6 + [0.02])


def test_polynomial_falls_by_a_power_of_the_share_that_is_left():
    assert curve(schedule="polynomial", warmup_epochs=1.0)[10:] == pytest.approx(
        [0.2 * t / 30 for t in range(30, 0, -1)]
    )
    assert curve(schedule="polynomial", power=2.0) == pytest.approx([0.2 * (t / 40) ** 2 for t in range(40, 0, -1)])


def test_a_milestone_that_the_warm_up_ends_at_is_passed():
    rates = curve(schedule="multistep", milestones=(0.25, 0.5), warmup_epochs=1.0)  # gamma is 0.1 unless told
    assert rates[9:] == pytest.approx([0.2] + [0.02] * 10 + [0.002] * 20)


@pytest.mark.parametrize(("schedule", "last"), [("polynomial", 2 / 3), ("cosine", 0.75)])
def test_a_warm_up_that_ends_within_a_step_rises_no_further_than_the_peak(schedule, last):
    """2.5 steps of 4: a third of the rest is over at step 3."""
    found = curve(total=4, steps_per_epoch=5, warmup_epochs=0.5, schedule=schedule)
    assert found == pytest.approx([0.08, 0.16, 0.2, 0.2 * last])


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]),
        ("inverse-sqrt", [1, 2**-0.5, 3**-0.5, 0.5]),
    ],
)
def test_rho_follows_its_schedule_by_step_and_by_epoch(schedule, factors):
    assert [rho_factor(t, 4, schedule=schedule, steps_per_epoch=2) for t in range(4)] == pytest.approx(factors)
    by_epoch = [rho_factor(t, 8, schedule=schedule, steps_per_epoch=2, unit="epoch") for t in range(8)]
    assert by_epoch == pytest.approx([factor for factor in factors for _ in range(2)])
