"""Odd parameters, parameter groups, and a user's scheduler on them."""

import pytest
import torch
from tensor_bits import NAMES, bits
from torch import nn

from sambench.errors import ConfigError
from sambench.variants import create
from sambench.variants.contract import Gradient, global_norm

# -- odd parameters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_zero_gradient_moves_nothing(name):
    w = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = create(name, [("weight", w)], lr=0.1)

    def closure():
        w.grad = torch.zeros_like(w)
        return torch.zeros(())

    optimizer.step(closure)
    assert w.tolist() == [1.0, -2.0]


@pytest.mark.parametrize("name", NAMES)
def test_no_gradient_at_all_is_a_step_that_moves_nothing(name):
    w = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = create(name, [("weight", w)], lr=0.1)
    assert optimizer.step(lambda: torch.tensor(3.0)).item() == 3.0
    assert w.tolist() == [1.0, -2.0]
    assert optimizer.steps == 1


@pytest.mark.parametrize("name", NAMES)
def test_frozen_and_unused_parameters_stay(new_task, name):
    task, lone = new_task(), new_task()
    unused = nn.Parameter(torch.ones(3, dtype=torch.float64))
    frozen = nn.Parameter(torch.ones(3, dtype=torch.float64), requires_grad=False)
    named = [*task.model.named_parameters(), ("unused.weight", unused), ("frozen.weight", frozen)]
    optimizer = create(name, named, lr=0.1, momentum=0.9, weight_decay=0.1)
    alone = lone.optimizer(name, weight_decay=0.1)
    for _ in range(3):
        optimizer.step(task.closure)
        alone.step(lone.closure)
    assert unused.tolist() == frozen.tolist() == [1.0] * 3
    assert bits(task.weights()) == bits(lone.weights())


def test_mixed_dtypes_share_one_norm():
    a = torch.tensor([3.0], dtype=torch.float32, requires_grad=True)
    b = torch.tensor([4.0], dtype=torch.bfloat16, requires_grad=True)
    optimizer = create("sam", [a, b], lr=0.0, rho=10.0)
    seen = []

    def closure():
        optimizer.zero_grad()
        loss = (a * a / 2).sum() + (b * b / 2).sum().float()
        loss.backward()
        seen.append((a.item(), b.item()))
        return loss

    optimizer.step(closure)
    assert seen == [(3.0, 4.0), (9.0, 12.0)]
    assert (a.dtype, b.dtype) == (torch.float32, torch.bfloat16)


def test_zero_dimensional_parameter():
    w = torch.tensor(2.0, requires_grad=True)
    optimizer = create("sam", [w], lr=0.5, rho=1.0)

    def closure():
        optimizer.zero_grad()
        loss = w**2
        loss.backward()
        return loss

    optimizer.step(closure)
    assert w.item() == 2.0 - 0.5 * 2 * 3.0


def test_sparse_gradient_is_refused_by_name():
    model = nn.Embedding(5, 2, sparse=True)
    optimizer = create("sam", model, lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = model(torch.tensor([1])).sum()
        loss.backward()
        return loss

    with pytest.raises(ConfigError, match=r"parameter weight has a sparse gradient.*sparse=False"):
        optimizer.step(closure)


def test_norm_of_half_precision_does_not_overflow():
    big = [torch.full((8,), 6e4, dtype=torch.float16)]
    assert global_norm(big).item() == pytest.approx(6e4 * 8**0.5, rel=1e-3)
    assert global_norm([]).item() == 0.0
    assert Gradient(torch.zeros(()), [], [torch.tensor([3.0]), torch.tensor([4.0])]).norm().item() == 5.0


# -- groups and schedules --------------------------------------------------------------------------------------


def test_groups_have_their_own_radius():
    """SAM's norm runs over everything; each group scales its part by its own rho."""
    a, b = (torch.tensor([v], requires_grad=True) for v in (3.0, 4.0))
    optimizer = create("sam", [{"params": [a], "rho": 1.0}, {"params": [b], "lr": 0.0}], lr=0.0, rho=10.0)
    assert [group["rho"] for group in optimizer.param_groups] == [1.0, 10.0]
    seen = []

    def closure():
        optimizer.zero_grad()
        loss = (a * a / 2 + b * b / 2).sum()
        loss.backward()
        seen.append((a.item(), b.item()))
        return loss

    optimizer.step(closure)
    assert seen[1] == (pytest.approx(3.6), pytest.approx(12.0))


@pytest.mark.parametrize("name", NAMES)
def test_equal_groups_are_one_group(new_task, name):
    one, two = new_task(), new_task()
    params = list(two.model.named_parameters())
    split = create(name, [{"params": params[:2]}, {"params": params[2:]}], lr=0.1, momentum=0.9)
    whole = one.optimizer(name)
    for _ in range(4):
        whole.step(one.closure)
        split.step(two.closure)
    assert bits(one.weights()) == bits(two.weights())


def test_group_value_out_of_range_is_refused(task):
    with pytest.raises(ConfigError, match="rho=-1"):
        create("sam", [{"params": task.model.parameters(), "rho": -1}], lr=0.1)


def test_added_group_takes_the_defaults(task):
    optimizer = create("sam", task.model[0].parameters(), lr=0.1, momentum=0.9, rho=0.25)
    optimizer.add_param_group({"params": task.model[2].parameters(), "lr": 0.5})
    added = optimizer.param_groups[1]
    assert (added["rho"], added["momentum"], added["lr"]) == (0.25, 0.9, 0.5)
    before = task.weights()
    optimizer.step(task.closure)
    assert all(not torch.equal(p, w) for p, w in zip(task.model.parameters(), before, strict=True))


def test_added_group_is_checked_like_the_first_ones(task):
    optimizer = create("asam", task.model[0], lr=0.1)
    before = len(optimizer.param_groups)
    for group, says in [
        ({"params": task.model[2].parameters()}, "by their names"),
        ({"params": task.model[2].named_parameters(), "rho": -1}, "rho=-1"),
        ({"params": []}, "nothing to optimize"),
    ]:
        with pytest.raises(ConfigError, match=says):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == before
    optimizer.add_param_group({"params": task.model[2].named_parameters(), "rho": "2"})
    assert optimizer.param_groups[1]["rho"] == 2.0
    optimizer.step(task.closure)


def test_learning_rate_scheduler_drives_the_base(task, new_task):
    plain = new_task()
    reference = torch.optim.SGD(plain.model.parameters(), lr=0.1, momentum=0.9)
    optimizer = task.optimizer("sam", rho=0.0)
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, 5) for o in (optimizer, reference)]
    for _ in range(5):
        optimizer.step(task.closure)
        plain.closure()
        reference.step()
        for schedule in schedules:
            schedule.step()
    assert optimizer.param_groups[0]["lr"] == reference.param_groups[0]["lr"] < 1e-9
    assert bits(task.weights()) == bits(plain.weights())


def test_warm_restarts_and_one_cycle_work_on_the_wrapper(task):
    """OneCycleLR also moves the momentum, which lives in the same groups."""
    optimizer = task.optimizer("sam")
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=4)
    seen = []
    for _ in range(3):
        optimizer.step(task.closure)
        schedule.step()
        seen.append((optimizer.base.param_groups[0]["lr"], optimizer.base.param_groups[0]["momentum"]))
    assert len(set(seen)) == 3
