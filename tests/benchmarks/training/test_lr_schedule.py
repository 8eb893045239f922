"""Learning-rate schedules against torch's own, and their end points."""

import math

import pytest
import torch

from sambench.benchmarks.training.lr_schedule import learning_rate


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
