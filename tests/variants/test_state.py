"""A user's checkpoint: what a rule remembers is saved, loaded and refused as one."""

import io

import pytest
import torch
from tensor_bits import bits

from sambench.errors import StateError
from sambench.variants import StepRule, create


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
