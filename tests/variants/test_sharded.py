"""Parameters in shards: FSDP2 makes the steps of one process, and torch's checkpoint helpers keep a rule's state."""

import copy

import pytest
import sharded_steps
import torch
from process_pair import together
from sharded_steps import WHOLE, Loop, network, resumed
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.utils._pytree import tree_flatten_with_path

from sambench.errors import ConfigError, StateError
from sambench.variants import create, get_info, list_variants

NAMES = [info.name for info in list_variants()]
KINDS = ["sgd", "asam", "awp", "sam_sps", "rand_sam", "lookahead", "fsam", "sampa", "ema", "zsharp"]
"""One of each: norms of all and of each tensor, inner products, noise, own state, the oracle, an average; refused."""
TOLERANCE = 1e-10


OVERFLOWING = ["sam", "asam", "rand_sam"]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What one pair of processes has to say to both tests below: torch's shards take seconds to import."""
    pair = together(sharded_steps.work_and_overflow, tmp_path_factory.mktemp("pair"), KINDS, OVERFLOWING)
    assert all(isinstance(answer, tuple) for answer in pair), pair
    return pair


def check(one, other, names):
    assert one["left"].startswith("parameter 0.weight has a gradient from before the step")
    for name in names:
        if name in WHOLE:
            assert one[name].startswith(f"'{name}' looks at whole parameters, and these are in shards (fully_shard)")
            continue
        after, later, twins, _ = one[name]
        assert torch.equal(later, other[name][1]), name
        alone = Loop(name, network())
        alone.step()
        torch.testing.assert_close(
            after, alone.weights(), rtol=0, atol=TOLERANCE, msg=lambda m, name=name: f"{name} {m}"
        )
        alone.step(2)
        for weights in (later, *twins):
            torch.testing.assert_close(weights, alone.weights(), rtol=0, atol=TOLERANCE)


def test_two_processes_make_the_steps_of_one(answers):
    check(*(made for made, _ in answers), KINDS)


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one_with_every_variant(tmp_path):
    names = [name for name in NAMES if name not in KINDS]
    check(*together(sharded_steps.work, tmp_path, names), names)


def test_gradient_that_overflows_in_a_shard_of_one_process_skips_the_step_of_both(answers):
    """In the first pass or the second: nobody goes on with half of a step, or with another loss scale."""
    one, other = (overflowed for _, overflowed in answers)
    assert {name for name, _ in one} == set(OVERFLOWING)
    assert one.keys() == other.keys()
    for case, (finite, steps) in one.items():
        assert finite, "the first process has no part of what overflows"
        assert not other[case][0]
        assert [told[1:] for told in steps] == [(2.0**16, 1, 0), (2.0**15, 1, 1), (2.0**15, 2, 1)]
        first, skipped, made = (weights for weights, *_ in steps)
        assert torch.equal(skipped, first)
        assert made.isfinite().all()
        assert not torch.equal(made, first)
        for mine, theirs in zip(steps, other[case][1], strict=True):
            assert torch.equal(mine[0], theirs[0])
            assert mine[1:] == theirs[1:]


def test_what_is_refused_is_declared():
    assert set(WHOLE) == {"bsam", "entropy_sgd", "rsam", "ssam_d", "ssam_f", "zsharp"}
    for name in NAMES:
        says = "not in shards" if name in WHOLE else "whole or in shards (FSDP2)"
        assert get_info(name).requirements().endswith(says)


def test_shards_beside_whole_parameters_are_refused():
    model = network()
    model[0].weight.device_mesh = None
    with pytest.raises(ConfigError, match="some parameters are in shards and some are not"):
        create("sam", model, lr=0.1)


# -- torch.distributed.checkpoint.state_dict ---------------------------------------------------------------------


def layout(state):
    """What there is in a state, without the values."""
    return [(path, getattr(leaf, "shape", type(leaf))) for path, leaf in tree_flatten_with_path(state)[0]]


@pytest.mark.parametrize("name", NAMES)
def test_checkpoint_helpers_keep_what_a_rule_remembers(name):
    loop = Loop(name, network())
    loop.step()
    state = copy.deepcopy(get_optimizer_state_dict(loop.model, loop.optimizer))
    assert "0.weight" in state["param_groups"][0]["params"]
    model = network()
    model.load_state_dict(loop.model.state_dict())
    twin = resumed(loop, model, state)
    loop.step(2)
    twin.step(2)
    assert torch.equal(loop.weights(), twin.weights())
    assert twin.optimizer.scalars == loop.optimizer.scalars
    assert "variant" not in twin.optimizer.param_groups[0]


@pytest.mark.parametrize("name", NAMES)
def test_fresh_optimizer_offers_the_places_of_all_that_is_loaded(name):
    """``torch.distributed.checkpoint.load`` reads what the state it is given has a place for, and no more."""
    loop, fresh = Loop(name, network()), Loop(name, network())
    loop.step(1)
    before = fresh.weights()
    assert layout(get_optimizer_state_dict(fresh.model, fresh.optimizer)) == layout(
        get_optimizer_state_dict(loop.model, loop.optimizer)
    )
    assert torch.equal(fresh.weights(), before)
    assert fresh.optimizer.steps == 0


def test_state_of_a_trained_rule_is_not_filled_again():
    model = network()
    optimizer = create("fsam", model, lr=0.1)  # whose base keeps nothing, so that torch asks each time
    loop = Loop("fsam", model)
    loop.optimizer = optimizer
    loop.step()
    optimizer.zero_grad()
    before = {p: own["average"].clone() for p, own in optimizer.own.items()}
    get_optimizer_state_dict(model, optimizer)
    assert all(torch.equal(optimizer.own[p]["average"], average) for p, average in before.items())


def test_state_of_another_rule_is_refused():
    loop, other = Loop("sam", network()), Loop("gsam", network())
    loop.step(1)
    with pytest.raises(StateError, match="belongs to 'sam', not to 'gsam'"):
        set_optimizer_state_dict(other.model, other.optimizer, get_optimizer_state_dict(loop.model, loop.optimizer))


@pytest.mark.parametrize("name", ["sgd", "sam", "fsam"])
def test_flattened_state_which_lacks_what_a_rule_remembers_is_refused(name):
    """With that option torch looks up the names that stand in the optimizer's own groups and state, and no others."""
    loop, fresh = Loop(name, network()), Loop(name, network())
    loop.step(1)
    options, before = StateDictOptions(flatten_optimizer_state_dict=True), fresh.weights()
    state = get_optimizer_state_dict(loop.model, loop.optimizer, options=options)
    for other in (fresh, loop):
        with pytest.raises(StateError, match="leave out flatten_optimizer_state_dict"):
            set_optimizer_state_dict(other.model, other.optimizer, state, options=options)
    assert torch.equal(fresh.weights(), before)


def test_step_without_a_closure_is_refused_unless_it_is_the_helpers():
    model = network()
    optimizer = create("sam", model, lr=0.0)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    with pytest.raises(ConfigError, match=r"call optimizer\.step"):
        optimizer.step()
