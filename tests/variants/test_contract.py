"""The contract of a step, seen from outside: a user's closure, a user's scheduler, a user's checkpoint."""

import copy
import io
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sambench.errors import ConfigError, StateError
from sambench.variants import StepRule, create
from sambench.variants.contract import Gradient, global_norm

NAMES = ["sgd", "sam", "usam", "unified_sam", "asam"]


def bits(tensors):
    """Raw bytes: equal when every bit is, signs of zeros and payloads of NaNs included."""
    return [t.detach().contiguous().flatten().view(torch.uint8).tolist() for t in tensors]


# -- one step --------------------------------------------------------------------------------------------------


def test_sgd_is_the_base_optimizer(task, new_task):
    plain = new_task()
    reference = torch.optim.SGD(plain.model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True)
    optimizer = task.optimizer("sgd", weight_decay=1e-3, nesterov=True)
    for _ in range(5):
        loss = optimizer.step(task.closure)
        assert loss == plain.closure()
        reference.step()
    assert bits(task.weights()) == bits(plain.weights())


def test_sam_by_hand(task, new_task):
    optimizer = task.optimizer("sam", rho=0.3, momentum=0.0)
    hand = new_task()
    loss = hand.closure()
    start, g = hand.weights(), [p.grad.clone() for p in hand.model.parameters()]
    norm = torch.cat([t.flatten() for t in g]).norm()
    with torch.no_grad():
        for p, t in zip(hand.model.parameters(), g, strict=True):
            p += 0.3 * t / norm
    hand.closure()
    expected = [w - 0.1 * p.grad for w, p in zip(start, hand.model.parameters(), strict=True)]
    assert optimizer.step(task.closure) == loss
    for p, w in zip(task.model.parameters(), expected, strict=True):
        assert torch.allclose(p, w, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_step_returns_the_detached_loss_at_the_unperturbed_weights(task, name):
    optimizer = task.optimizer(name)
    expected = task.closure().item()
    loss = optimizer.step(task.closure)
    assert loss.item() == expected
    assert not loss.requires_grad
    assert loss.shape == ()


def test_closure_may_zero_gradients_in_place(task, new_task):
    """set_to_none=False writes into the gradients; those that the optimizer holds must be out of reach."""
    other = new_task()

    def closure():
        for p in other.model.parameters():
            if p.grad is not None:
                p.grad.zero_()
        loss = F.cross_entropy(other.model(other.x), other.y)
        loss.backward()
        return loss

    one, two = task.optimizer("sam", rho=0.3), other.optimizer("sam", rho=0.3)
    for _ in range(3):
        one.step(task.closure)
        two.step(closure)
    assert bits(task.weights()) == bits(other.weights())


def test_closure_runs_with_gradients_enabled_whatever_surrounds_it(task, new_task):
    other = new_task()
    task.optimizer("sam").step(task.closure)
    with torch.no_grad():
        other.optimizer("sam").step(other.closure)
    assert bits(task.weights()) == bits(other.weights())


def test_no_closure_is_refused(task):
    with pytest.raises(ConfigError, match=r"call optimizer\.step\(closure\)"):
        task.optimizer("sam").step()


def test_python_number_as_loss_is_taken(task):
    def closure():
        return float(task.closure().detach())

    assert task.optimizer("sam").step(closure).item() == pytest.approx(task.closure().item(), abs=1)


# -- what a step leaves behind ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_lr_zero_leaves_every_bit_and_every_storage(new_task, name, dtype):
    task = new_task(dtype)
    params = list(task.model.parameters())
    before, storage = bits(params), [p.data_ptr() for p in params]
    optimizer = task.optimizer(name, lr=0.0, **({} if name == "sgd" else {"rho": 0.7}))
    for _ in range(3):
        optimizer.step(task.closure)
    assert bits(params) == before
    assert [p.data_ptr() for p in params] == storage


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fail_at", [1, 2])
def test_raising_closure_leaves_weights_and_state(new_task, dtype, fail_at):
    task = new_task(dtype)
    optimizer = task.optimizer("sam", rho=0.7)
    optimizer.step(task.closure)
    params = list(task.model.parameters())
    before, state = bits(params), copy.deepcopy(optimizer.state_dict())
    calls = 0

    def closure():
        nonlocal calls
        calls += 1
        loss = task.closure()
        if calls == fail_at:
            raise KeyboardInterrupt
        return loss

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert bits(params) == before
    assert optimizer.steps == 1
    for p, buffer in zip(params, state["state"].values(), strict=True):
        assert torch.equal(optimizer.state[p]["momentum_buffer"], buffer["momentum_buffer"])


def test_perturbations_nest_and_come_back(task):
    optimizer = task.optimizer("sam")
    at = optimizer.gradient(task.closure)
    params, start = at.params, task.weights()
    with torch.no_grad(), optimizer.perturbed(at, [torch.ones_like(p) for p in params]):
        once = task.weights()
        with optimizer.perturbed(at, [torch.full_like(p, 0.1) for p in params]):
            assert torch.allclose(params[0], start[0] + 1.1)
        assert bits(params) == bits(once)
    assert bits(params) == bits(start)


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


# -- hooks, text, copies ---------------------------------------------------------------------------------------


def test_hooks_run_once_a_step(task):
    optimizer, seen = task.optimizer("sam"), []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    optimizer.base.register_step_pre_hook(lambda *_: seen.append("base"))
    optimizer.step(task.closure)
    assert seen == ["before", "base", "after"]


def test_repr_names_rule_and_values(task):
    text = repr(task.optimizer("sam", rho=0.25))
    assert text.startswith("SAM (")
    assert "rho: 0.25" in text
    assert "momentum: 0.9" in text


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
@pytest.mark.parametrize("name", NAMES)
def test_copy_with_its_model_goes_on_alike(task, name, how):
    """Model and optimizer are copied together, as torch optimizers are; both then make the same steps."""
    optimizer = task.optimizer(name)
    optimizer.step(task.closure)
    pair = (task, optimizer)
    other, twin = copy.deepcopy(pair) if how == "deepcopy" else pickle.loads(pickle.dumps(pair))
    for _ in range(3):
        optimizer.step(task.closure)
        twin.step(other.closure)
    assert twin.steps == optimizer.steps == 4
    assert bits(other.weights()) == bits(task.weights())
    twin.step(other.closure)
    assert bits(other.weights()) != bits(task.weights())


# -- state -----------------------------------------------------------------------------------------------------


class Remembering(StepRule):
    """A rule with state of both kinds: an average of gradients per parameter, and a number."""

    info = create("sgd", [torch.zeros(1, requires_grad=True)], lr=0.1).info

    def update(self, closure):
        g = self.gradient(closure)
        mean = [self.own.get(p, {}).get("mean", torch.zeros_like(p)) for p in g.params]
        mean = [0.5 * m + v for m, v in zip(mean, g.values, strict=True)]
        self.scalars["drift"] = 0.5 * self.scalars.get("drift", 0.0) + float(g.loss)
        for p, m in zip(g.params, mean, strict=True):
            self.own[p] = {"mean": m}
        self.descend(g.like([m * self.scalars["drift"] for m in mean]))
        return g.loss


def remembering(task) -> StepRule:
    plain = task.optimizer("sgd")
    return Remembering(plain.base, plain.owners, {})


def reload(state):
    """Through a file's bytes and the safe loader, as every checkpoint goes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_rule_with_state_of_both_kinds_resumes(task, new_task):
    optimizer = remembering(task)
    for _ in range(3):
        optimizer.step(task.closure)
    saved = reload({"model": task.model.state_dict(), "optimizer": optimizer.state_dict()})
    fresh = new_task(seed=1)
    fresh.x, fresh.y = task.x, task.y
    resumed = remembering(fresh)
    fresh.model.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    for _ in range(3):
        optimizer.step(task.closure)
        resumed.step(fresh.closure)
    assert bits(task.weights()) == bits(fresh.weights())
    assert resumed.scalars == optimizer.scalars


def test_loaded_state_shares_no_memory_with_what_was_loaded(task):
    optimizer = remembering(task)
    optimizer.step(task.closure)
    saved = optimizer.state_dict()
    twin = remembering(task)
    twin.load_state_dict(saved)
    mean = saved["variant"]["own"][0]["mean"].clone()
    optimizer.own[next(iter(task.model.parameters()))]["mean"].zero_()
    assert torch.equal(next(iter(twin.own.values()))["mean"], mean)


def test_loading_keeps_one_set_of_groups(task):
    optimizer = task.optimizer("sam")
    optimizer.load_state_dict(reload(optimizer.state_dict()))
    assert optimizer.param_groups is optimizer.base.param_groups
    assert optimizer.state is optimizer.base.state


def test_state_of_another_rule_is_refused(task):
    sam, plain = task.optimizer("sam"), task.optimizer("usam")
    with pytest.raises(StateError, match="belongs to 'usam', not to 'sam'"):
        sam.load_state_dict(plain.state_dict())
    with pytest.raises(StateError, match="belongs to a plain optimizer"):
        sam.load_state_dict(sam.base.state_dict())


def test_refused_state_leaves_the_present_one(task):
    optimizer = task.optimizer("sam")
    optimizer.step(task.closure)
    buffers = bits(s["momentum_buffer"] for s in optimizer.state.values())
    with pytest.raises(StateError):
        optimizer.load_state_dict(task.optimizer("usam").state_dict())
    assert bits(s["momentum_buffer"] for s in optimizer.state.values()) == buffers
    assert optimizer.steps == 1


# -- asking the closure, noise ---------------------------------------------------------------------------------


def test_plain_closure_is_told_what_is_missing(task):
    optimizer = task.optimizer("unified_sam", lam="1/t", lam_clock="epoch")
    with pytest.raises(ConfigError, match="asks its closure for 'epoch'"):
        optimizer.step(task.closure)


def test_noise_is_a_function_of_seed_and_step(task):
    def draw(seed, steps):
        optimizer = create("sam", task.model, lr=0.1, seed=seed)
        vars(optimizer)["steps"] = steps
        return torch.randn(3, generator=optimizer.noise()).tolist()

    assert draw(0, 0) == draw(0, 0)
    assert len({tuple(draw(seed, steps)) for seed in (0, 1) for steps in (0, 1)}) == 4


def test_rule_without_update_says_so(task):
    class Empty(StepRule):
        info = create("sgd", [torch.zeros(1, requires_grad=True)], lr=0.1).info

    plain = task.optimizer("sgd")
    with pytest.raises(NotImplementedError, match="Empty defines no update"):
        Empty(plain.base, plain.owners, {}).step(task.closure)
