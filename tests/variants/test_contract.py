"""The contract of a step, seen from outside: a user's closure, and what a step leaves behind."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from tensor_bits import NAMES, bits

from sambench.errors import ConfigError
from sambench.variants import StepRule, create

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


# -- asking the closure, noise ---------------------------------------------------------------------------------


def test_plain_closure_is_told_what_is_missing(task):
    optimizer = task.optimizer("unified_sam", lam="1/t", lam_clock="epoch")
    with pytest.raises(ConfigError, match="needs 'epoch', which a plain closure cannot give; step with sambench"):
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
