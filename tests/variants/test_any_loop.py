"""A step is right in anybody's loop: every variant in the circumstances of training loops that people write.

What is right comes from the same variant on plain tensors, in a loop without the circumstance. What cannot be right is
in ``test_refused``: it is refused before a weight moves.
"""

import contextlib
import copy
import functools
import pickle
import re
import weakref
from pathlib import Path

import pytest
import sharded_steps
import torch
import torch.nn.functional as F
from tensor_bits import bits
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_leaves

import sambench
from sambench.errors import ConfigError, StateError
from sambench.variants import create, get_info, list_variants
from sambench.variants._ownership import take

PLAIN = [info.name for info in list_variants() if not info.asks]
"""The variants that a plain closure is enough for; the others are in :func:`test_more_than_a_plain_closure`."""
ORACLE = [info.name for info in list_variants() if info.asks]


class Net(nn.Module):
    """Two linear layers, which follow autocast, around a normalization in at least float32, which does not."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)
        with torch.no_grad():
            for name, p in self.named_parameters():
                p.copy_(float(name == "norm.weight") + 0.5 * torch.randn(p.shape, generator=generator))
        self.to(dtype)

    def between(self, h):
        wide = torch.promote_types(h.dtype, torch.float32)
        with torch.autocast("cpu", enabled=False):
            return torch.tanh(F.layer_norm(h.to(wide), (8,), self.norm.weight.to(wide), self.norm.bias.to(wide)))

    def forward(self, x):
        return self.last(self.between(self.first(x)).to(x.dtype))


def batch(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(16, 6, generator=generator).to(dtype), torch.randint(3, (16,), generator=generator)


def new(name, model, **hyper):
    """The variant with a perturbation that shows, and without momentum unless it is what the variant is about."""
    given = {"rho": 0.5} if "rho" in get_info(name).hyper else {}
    return create(name, model, **{"lr": 0.1, "momentum": 0.9 if name == "msam" else 0.0, **given, **hyper})


def plain_closure(model, x, y):
    """The plain loop: new tensors for every gradient, from ``torch.autograd.grad``."""
    params = [p for p in model.parameters() if p.requires_grad]

    def closure():
        loss = F.cross_entropy(model(x), y)
        for p, g in zip(params, torch.autograd.grad(loss, params), strict=True):
            p.grad = g.clone()
        return loss

    return closure


def train(name, make_closure, steps=3, *, dtype=torch.float64, model=None, around=contextlib.nullcontext, **hyper):
    """Make steps with ``make_closure(optimizer, model, x, y)``; return the weights and the optimizer."""
    model = Net(dtype) if model is None else model
    optimizer = new(name, model, **hyper)
    closure = make_closure(optimizer, model, *batch(dtype))
    for _ in range(steps):
        with around():
            loss = optimizer.step(closure)
        assert not loss.requires_grad
        assert not any(p.grad is not None and p.grad.requires_grad for p in model.parameters())
    return weights(model), optimizer


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def leaves(optimizer):
    """All that the state holds, tensors by their bits."""
    return [bits([leaf]) if isinstance(leaf, torch.Tensor) else leaf for leaf in tree_leaves(optimizer.state_dict())]


@functools.cache
def expected(name):
    return train(name, lambda optimizer, model, x, y: plain_closure(model, x, y))[0]


def usual(optimizer, model, x, y):
    """The closure of the README."""

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


# -- autocast --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", PLAIN)
def test_every_pass_under_autocast_sees_the_present_weights(name, dtype):
    def amp():
        return torch.autocast("cpu", torch.bfloat16)

    def by_hand(optimizer, model, x, y):
        """The casts of autocast, written out."""

        def low(layer, h):
            return F.linear(h.bfloat16(), layer.weight.bfloat16(), layer.bias.bfloat16())

        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(low(model.last, model.between(low(model.first, x))).float(), y)
            loss.backward()
            return loss

        return closure

    def inside(optimizer, model, x, y):
        def closure():
            optimizer.zero_grad()
            with amp():
                outputs = model(x)
            loss = F.cross_entropy(outputs.float(), y)
            loss.backward()
            return loss

        return closure

    def outside(optimizer, model, x, y):
        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x).float(), y)
            loss.backward()
            return loss

        return closure

    right, _ = train(name, by_hand, dtype=dtype)
    for place, (make, around) in {
        "around the step": (outside, amp),
        "in the closure": (inside, contextlib.nullcontext),
        "both": (inside, amp),
    }.items():
        torch.testing.assert_close(
            train(name, make, dtype=dtype, around=around)[0], right, msg=lambda m, at=place: f"{at}: {m}"
        )


def test_weights_computed_by_a_parametrization_are_not_kept_between_passes():
    def normalized():
        model = Net()
        nn.utils.parametrizations.weight_norm(model.first)
        return model

    cached = nn.utils.parametrize.cached
    right, _ = train("sam", usual, model=normalized())
    assert torch.equal(train("sam", usual, model=normalized(), around=cached)[0], right)


# -- whose memory a gradient is --------------------------------------------------------------------------------


def flat_buffer(optimizer, model, x, y):
    params = list(model.parameters())
    buffer = torch.zeros(sum(p.numel() for p in params), dtype=x.dtype)

    def closure():
        buffer.zero_()
        for p, part in zip(params, buffer.split([p.numel() for p in params]), strict=True):
            p.grad = part.view_as(p)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


def kept_tensors(optimizer, model, x, y, alias=lambda buffer: buffer):
    params = list(model.parameters())
    buffers = [torch.zeros_like(p) for p in params]

    def closure():
        for p, buffer in zip(params, buffers, strict=True):
            p.grad = alias(buffer.detach().zero_()) if alias is not None else buffer.zero_()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


def aliases_by_data(optimizer, model, x, y):
    return kept_tensors(optimizer, model, x, y, lambda buffer: buffer.data)


def kept_in_a_list(optimizer, model, x, y):
    return kept_tensors(optimizer, model, x, y, None)


def with_graph(optimizer, model, x, y):
    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward(create_graph=True)
        return loss

    return closure


def zeroed_in_place(optimizer, model, x, y):
    def closure():
        optimizer.zero_grad(set_to_none=False)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


def accumulated_inside(optimizer, model, x, y):
    def closure():
        optimizer.zero_grad()
        total = 0.0
        for part in torch.arange(len(y)).chunk(4):
            loss = F.cross_entropy(model(x[part]), y[part], reduction="sum") / len(y)
            loss.backward()
            total += loss.detach()
        return total

    return closure


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True")
@pytest.mark.parametrize(
    "make", [usual, flat_buffer, kept_in_a_list, aliases_by_data, with_graph, zeroed_in_place, accumulated_inside]
)
@pytest.mark.parametrize("name", PLAIN)
def test_gradients_are_the_steps_own(name, make):
    torch.testing.assert_close(train(name, make)[0], expected(name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_that_repeat_one_number(name):
    def closure_of(widen):
        def make(optimizer, model, x, y):
            usual_closure = usual(optimizer, model, x, y)

            def closure():
                loss = usual_closure()
                for p in model.parameters():
                    p.grad = widen(p.grad.mean().expand_as(p))
                return loss

            return closure

        return make

    right, _ = train(name, closure_of(torch.clone))
    assert torch.equal(train(name, closure_of(lambda g: g))[0], right)


def test_no_copy_where_none_is_needed():
    """A gradient that nobody else holds is handed on as it is."""
    model, places = Net(), []
    optimizer = new("sam", model)
    closure = usual(optimizer, model, *batch())

    def watched():
        loss = closure()
        places.extend(p.grad.data_ptr() for p in model.parameters())
        return loss

    assert [g.data_ptr() for g in optimizer.gradient(watched).values] == places


HOLDERS = {
    "a list": lambda g: [g],
    "a closure": lambda g: lambda: g,
    "an alias": lambda g: g.data,
    "a view": lambda g: g.view(-1)[:1],
    "a detached tensor": lambda g: g.detach(),
    "a graph": lambda g: g.requires_grad_(),
}


@pytest.mark.parametrize("who", HOLDERS)
def test_gradient_that_somebody_else_holds_is_copied(who):
    p = torch.zeros(3, requires_grad=True)
    p.sum().backward()
    place, held = p.grad.data_ptr(), HOLDERS[who](p.grad)
    (g,) = take([p])
    assert g.data_ptr() != place, f"{who} still has it: {held}"
    assert p.grad is None


def test_gradients_in_one_memory_are_copied_and_a_weak_reference_is_nobody():
    p, q = (torch.zeros(3, requires_grad=True) for _ in range(2))
    p.grad, q.grad = torch.ones(6).split(3)
    places = [p.grad.data_ptr(), q.grad.data_ptr()]
    assert p.grad.untyped_storage().data_ptr() == q.grad.untyped_storage().data_ptr()
    assert take([p, q])[0].data_ptr() != places[0]
    (2 * p).sum().backward()
    place, weak = p.grad.data_ptr(), weakref.ref(p.grad)
    (g,) = take([p])
    assert g.data_ptr() == place
    assert weak() is g


@pytest.fixture(scope="module")
def one_process():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("views", [True, False])
@pytest.mark.parametrize("name", PLAIN)
def test_data_parallel_buckets(one_process, name, views, set_to_none):
    model = Net()
    parallel = DistributedDataParallel(model, gradient_as_bucket_view=views)

    def make(optimizer, model, x, y):
        def closure():
            optimizer.zero_grad(set_to_none=set_to_none)
            loss = F.cross_entropy(parallel(x), y)
            loss.backward()
            return loss

        return closure

    torch.testing.assert_close(train(name, make, model=model)[0], expected(name), rtol=0, atol=1e-12)


# -- names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [info.name for info in list_variants() if "names" in info.needs or "modules" in info.needs]
)
def test_what_stands_in_the_path_of_a_parameter_decides_nothing(name):
    """The same layers in modules that are called "weight" and "bias"."""

    def trained(first, last):
        model = Net()
        named = nn.ModuleDict({first: model.first, "norm": model.norm, last: model.last})
        named.forward = model.forward
        hyper = {"scaling": "elementwise", "layers": "all"} if name == "sam_on" else {}
        train(name, lambda optimizer, _, x, y: usual(optimizer, named, x, y), model=named, **hyper)
        return torch.cat([weights(part) for part in (model.first, model.norm, model.last)])

    assert torch.equal(trained("weights", "bias"), trained("a", "b"))


# -- parameters without a gradient -----------------------------------------------------------------------------


class Routed(Net):
    """Sends every second pass through another expert."""

    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList([nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 3))]).double()
        with torch.no_grad():
            for i, p in enumerate(self.experts.parameters()):
                p.copy_(torch.linspace(-1, 1 + i, p.numel()).view_as(p))
        self.turn = 0

    def forward(self, x):
        self.turn += 1
        h = super().forward(x)
        return h + self.experts[self.turn % 2](h)


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "msam"])  # its base has momentum: zero is not none
def test_gradient_in_one_pass_only_is_zero_in_the_others(name):
    def zeros_for_none(optimizer, model, x, y):
        closure = usual(optimizer, model, x, y)

        def filled():
            loss = closure()
            for p in model.parameters():
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            return loss

        return filled

    hyper = {"k": 1} if name == "looksam" else {}  # between its refreshes it makes one pass
    right, _ = train(name, zeros_for_none, model=Routed(), **hyper)
    torch.testing.assert_close(train(name, usual, model=Routed(), **hyper)[0], right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", PLAIN)
def test_parameter_without_any_gradient_is_left_alone(name):
    model = Net()
    model.unused = nn.Parameter(torch.ones(3, dtype=torch.float64))
    _, optimizer = train(name, usual, model=model, weight_decay=0.1, momentum=0.9)
    assert bits([model.unused]) == bits([torch.ones(3, dtype=torch.float64)])
    assert model.unused.grad is None
    assert not optimizer.base.state.get(model.unused)


@pytest.mark.parametrize("name", PLAIN)
def test_layers_are_frozen_and_thawed_between_steps(name):
    model = Net()
    optimizer = new(name, model, momentum=0.9, weight_decay=0.1)
    closure = usual(optimizer, model, *batch())
    for frozen in (True, False, True):
        model.first.requires_grad_(not frozen)
        for _ in range(2):
            before = weights(model.first), weights(model.last)
            optimizer.step(closure)
            assert torch.equal(weights(model.first), before[0]) == frozen
            assert not torch.equal(weights(model.last), before[1])
    assert torch.isfinite(weights(model)).all()


@pytest.mark.parametrize("name", PLAIN)
def test_tied_weights(name):
    class Tied(nn.Module):
        def __init__(self, by_module):
            super().__init__()
            self.norm, self.one = nn.LayerNorm(6).double(), nn.Linear(6, 6, bias=False).double()
            with torch.no_grad():
                self.one.weight.copy_(torch.linspace(-1, 1, 36).view(6, 6))
            if by_module:
                self.two = nn.Linear(6, 6, bias=False).double()
                self.two.weight = self.one.weight

        def forward(self, x):
            second = self.two if hasattr(self, "two") else self.one
            return second(torch.tanh(self.norm(self.one(x))))

    right, _ = train(name, usual, model=Tied(False))
    assert torch.equal(train(name, usual, model=Tied(True))[0], right)


# -- gradients from before the step ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_from_before_the_step_do_no_harm_where_the_closure_zeroes(name):
    for make in (usual, zeroed_in_place):
        model, (x, y) = Net(), batch()
        optimizer = new(name, model)
        closure = make(optimizer, model, x, y)
        for _ in range(3):
            F.cross_entropy(model(x[:4]), y[:4]).backward()
            optimizer.step(closure)
        torch.testing.assert_close(weights(model), expected(name), rtol=0, atol=1e-12)


def copied_in(optimizer, model, x, y):
    """Writes the gradient over the one that is there."""
    params = list(model.parameters())

    def closure():
        loss = F.cross_entropy(model(x), y)
        for p, g in zip(params, torch.autograd.grad(loss, params), strict=True):
            if p.grad is None:
                p.grad = torch.empty_like(p)
            p.grad.copy_(g)
        return loss

    return closure


def accumulated_in_place(optimizer, model, x, y):
    def closure():
        optimizer.zero_grad(set_to_none=False)
        total = 0.0
        for part in torch.arange(len(y)).chunk(4):
            loss = F.cross_entropy(model(x[part]), y[part], reduction="sum") / len(y)
            loss.backward()
            total += loss.detach()
        return total

    return closure


@pytest.mark.parametrize("make", [usual, zeroed_in_place, copied_in, accumulated_in_place])
@pytest.mark.parametrize("unused", [False, True])
def test_ways_to_zero(make, unused):
    model, (x, y) = Net(), batch()
    optimizer = new("sam", model)
    if unused and make is not copied_in:
        model.unused = nn.Parameter(torch.ones(3, dtype=torch.float64))
        optimizer.add_param_group({"params": [model.unused]})
    closure = make(optimizer, model, x, y)
    for _ in range(3):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step(closure)
    found = torch.cat([p.detach().flatten() for name, p in model.named_parameters() if name != "unused"])
    torch.testing.assert_close(found, expected("sam"), rtol=0, atol=1e-12)


# -- hooks -----------------------------------------------------------------------------------------------------


class Clipping(torch.optim.SGD):
    """SGD that clips what it is given."""

    def step(self, closure=None):
        nn.utils.clip_grad_norm_([p for group in self.param_groups for p in group["params"]], 0.01)
        return super().step()


@pytest.mark.parametrize("name", [name for name in PLAIN if not name.endswith("_sps")])  # they take torch's SGD alone
def test_pre_hook_clips_the_gradient_of_the_base_step(name):
    model, seen = Net(), []
    optimizer = new(name, model)

    def clip(rule, args, kwargs):
        seen.append(rule)
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)

    optimizer.register_step_pre_hook(clip)
    closure = usual(optimizer, model, *batch())
    for _ in range(3):
        optimizer.step(closure)
    assert set(seen) == {optimizer}
    assert len(seen) == 3 * (optimizer.param_groups[0]["k"] if name == "lookbehind_sam" else 1)
    # without momentum wsam's two forms are one: what the hook clipped is all of the step, not the base's part of it
    right, _ = train(name, usual, base=Clipping, **({"decoupled": False} if name == "wsam" else {}))
    torch.testing.assert_close(weights(model), right, rtol=0, atol=1e-12)


def test_both_parts_of_a_decoupled_step_are_clipped_alike():
    """With momentum the base optimizer is given its share of the clipped gradient, and no more."""
    seen = []

    def steps(factor):
        model = Net()
        before = weights(model)
        optimizer = new("wsam", model, momentum=0.9)

        def scale(*_):
            for p in model.parameters():
                p.grad = factor * p.grad

        optimizer.register_step_pre_hook(scale)
        optimizer.step(usual(optimizer, model, *batch()))
        seen.append(torch.cat([optimizer.state[p]["momentum_buffer"].flatten() for p in model.parameters()]))
        return weights(model) - before

    whole, half = steps(1.0), steps(0.5)
    torch.testing.assert_close(2 * half, whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(2 * seen[1], seen[0], rtol=0, atol=1e-12)


def test_hook_that_changes_nothing_leaves_the_bits():
    def watched(optimizer, model, x, y):
        optimizer.register_step_pre_hook(lambda *_: None)
        return usual(optimizer, model, x, y)

    assert torch.equal(train("wsam", watched, momentum=0.9)[0], train("wsam", usual, momentum=0.9)[0])


def test_hook_may_take_a_parameter_out_of_the_step():
    model = Net()
    optimizer = new("wsam", model, momentum=0.9)
    optimizer.register_step_pre_hook(lambda *_: setattr(model.first.weight, "grad", None))
    before = weights(model.first), weights(model.last)
    bias = model.first.bias.detach().clone()
    optimizer.step(usual(optimizer, model, *batch()))
    assert torch.equal(model.first.weight.flatten(), before[0][: model.first.weight.numel()])
    assert not torch.equal(model.first.bias, bias)
    assert not torch.equal(weights(model.last), before[1])


def test_removed_pre_hook_is_gone():
    model, seen = Net(), []
    optimizer = new("sam", model)
    optimizer.register_step_pre_hook(lambda *_: seen.append(1)).remove()
    optimizer.step(usual(optimizer, model, *batch()))
    assert not seen


def test_hooks_of_the_state_run():
    optimizer, seen = new("sam", Net()), []
    optimizer.register_state_dict_pre_hook(lambda rule: seen.append(("save", rule)))
    optimizer.register_state_dict_post_hook(lambda rule, state: {**state, "more": 1})
    optimizer.register_load_state_dict_pre_hook(lambda rule, state: {k: v for k, v in state.items() if k != "more"})
    optimizer.register_load_state_dict_post_hook(lambda rule: seen.append(("loaded", rule)))
    state = optimizer.state_dict()
    assert state["more"] == 1
    optimizer.load_state_dict(state)
    assert seen == [("save", optimizer), ("loaded", optimizer)]


def test_profiler_sees_the_step_and_that_of_the_base():
    model = Net()
    optimizer = new("sam", model)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step(usual(optimizer, model, *batch()))
    names = {event.key for event in profile.key_averages()}
    assert {"Optimizer.step#SAM.step", "Optimizer.step#SGD.step"} <= names


# -- closures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("name", PLAIN)
def test_none_skips_the_step(name, at):
    model = Net()
    optimizer = new(name, model, momentum=0.9)
    closure, calls = usual(optimizer, model, *batch()), 0
    optimizer.step(closure)

    def none():
        nonlocal calls
        calls += 1
        loss = closure()
        return None if calls == at else loss

    before, state = weights(model), leaves(optimizer)
    loss = optimizer.step(none)
    if calls < at:
        assert loss is not None  # the rule made a single pass
        return
    assert loss is None
    assert torch.equal(weights(model), before)
    assert leaves(optimizer) == state
    assert optimizer.step(closure) is not None


def test_base_may_be_a_class_or_a_function():
    right, _ = train("sam", usual, momentum=0.9)
    partial = functools.partial(torch.optim.SGD, momentum=0.9)
    for base, hyper in [
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        (partial, {"lr": 0.1}),
        (lambda params: partial(params, lr=0.1), {}),
    ]:
        model = Net()
        optimizer = create("sam", model, base=base, rho=0.5, **hyper)
        closure = usual(optimizer, model, *batch())
        for _ in range(3):
            optimizer.step(closure)
        assert torch.equal(weights(model), right)


@pytest.mark.parametrize(
    ("base", "hyper", "says"),
    [
        ("adamw", {"roh": 0.1}, r"unknown .*'roh'.* Valid: amsgrad, betas, .*lr, maximize, rho, weight_decay"),
        (
            torch.optim.SGD,
            {"roh": 0.1},
            r"'roh' of 'sam' on base 'SGD'; did you mean 'rho'\? Valid: dampening, .*rho, weight_decay",
        ),
        (torch.optim.LBFGS, {}, "'LBFGS' cannot be used: it evaluates a closure of its own"),
        (lambda params: 3, {}, "makes a int, not a torch.optim.Optimizer"),
        (lambda params: create("sam", params, lr=0.1), {}, "makes a step rule, 'sam': rules do not nest"),
        (torch.optim.SGD([torch.zeros(1)], lr=0.1), {}, "base is 'SGD', which is not valid: give a name"),
    ],
)
def test_what_cannot_be_a_base_says_what_can(base, hyper, says):
    with pytest.raises(ConfigError, match=says):
        create("sam", Net(), base=base, **hyper)


# -- what is refused -------------------------------------------------------------------------------------------


def accumulating(optimizer, model, x, y):
    def closure():
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


def after_backward(make):
    def prepared(optimizer, model, x, y):
        F.cross_entropy(model(x), y).backward()
        return make(optimizer, model, x, y)

    return prepared


def returning(change):
    def make(optimizer, model, x, y):
        closure = usual(optimizer, model, x, y)
        return lambda: change(closure())

    return make


def forward_alone(optimizer, model, x, y):
    return lambda: F.cross_entropy(model(x), y)


def zeroing(which, in_place=False):
    def make(optimizer, model, x, y):
        def closure():
            for p in getattr(model, which).parameters():
                p.grad = p.grad.zero_() if in_place and p.grad is not None else None
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        return closure

    return make


def on_a_layer_without_use(optimizer, model, x, y):
    """A gradient that the closure neither zeroes nor adds to."""
    params = [p for p in model.parameters() if p is not model.last.bias]
    model.last.bias.grad = torch.ones_like(model.last.bias)

    def closure():
        for p in params:
            p.grad = None
        model.last.bias.requires_grad_(False)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        model.last.bias.requires_grad_()
        return loss

    return closure


BACKWARD = "a closure without `backward()`, or a loss that no parameter is in"
RETURNS = "a closure that returns a dict, a tuple or a vector"
LEFT = "gradients from before the step that the closure does not zero, all or some"
REFUSED = {
    "not zeroed": (LEFT, after_backward(accumulating), StateError, "zero the gradients at"),
    "backward outside, only the loss inside": (LEFT, after_backward(forward_alone), StateError, "run forward and back"),
    "the first layer zeroed": (LEFT, after_backward(zeroing("first")), StateError, "before the step"),
    "the last layer zeroed": (LEFT, after_backward(zeroing("last")), StateError, "before the step"),
    "the first layer zeroed in place": (LEFT, after_backward(zeroing("first", True)), StateError, "before the step"),
    "the last layer zeroed in place": (LEFT, after_backward(zeroing("last", True)), StateError, "before the step"),
    "where the loss has none": (LEFT, on_a_layer_without_use, StateError, r"last\.bias has a gradient from before"),
    "a loss without backward": (
        BACKWARD,
        forward_alone,
        ConfigError,
        "no gradient on any.*backward\\(\\) miss",
    ),
    "its value": (BACKWARD, lambda *loop: lambda: forward_alone(*loop)().item(), ConfigError, "no gradient on any"),
    "a dict": (RETURNS, returning(lambda loss: {"loss": loss}), ConfigError, "returned a dict: a closure zeroes"),
    "a tuple": (RETURNS, returning(lambda loss: (loss, 1)), ConfigError, "returned a tuple: a closure zeroes"),
    "a vector": (RETURNS, returning(lambda loss: loss.repeat(3)), ConfigError, r"of shape \(3,\): a closure zeroes"),
}
"""The row of the table in docs/own-loop.md, the loop, and the error."""
ELSEWHERE = {
    "`step()` without a closure": "variants/test_contract.py",
    "a layer thawed between two passes of a step": "variants/test_any_loop.py",
    "sparse gradients": "variants/test_any_loop.py",
    "a plain closure for a rule that needs more": "variants/test_any_loop.py",
    "a loss function that returns a mean, in the oracle": "benchmarks/training/test_public_oracle.py",
    "a rule that looks at whole parameters, on shards of FSDP2": "variants/test_sharded.py",
    "some parameters in shards and some not": "variants/test_sharded.py",
    "`whole=False` without `mean_over_devices`, with fp16 or on shards": "benchmarks/training/test_public_oracle.py",
    "a state of another variant, or of a plain optimizer": "variants/test_state.py",
}
"""Rows of the table that are proven elsewhere."""


def test_table_of_what_is_refused_is_whole():
    page = (Path(sambench.__file__).parent / "docs" / "own-loop.md").read_text()
    rows = re.findall(r"^\| (.*?) \|", page.split("## What is refused")[1], flags=re.MULTILINE)[1:]
    assert set(rows) == {row for row, *_ in REFUSED.values()} | ELSEWHERE.keys()


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in ("sgd", "sam", "wsam", "bsam") else pytest.mark.slow) for n in PLAIN]
)
def test_refused(name, what):
    _, make, error, says = REFUSED[what]
    model = Net()
    optimizer = new(name, model)
    before, state = weights(model), leaves(optimizer)
    with pytest.raises(error, match=says):
        optimizer.step(make(optimizer, model, *batch()))
    assert torch.equal(weights(model), before)
    assert leaves(optimizer) == state


def test_layer_thawed_within_a_step_is_refused():
    model, thaw = Net(), []
    optimizer = new("sam", model)
    model.first.requires_grad_(False)
    closure = usual(optimizer, model, *batch())

    def thawing():
        model.first.requires_grad_(bool(thaw))
        thaw.append(1)
        return closure()

    before = weights(model)
    with pytest.raises(StateError, match=r"first\.weight has a gradient and was frozen at the first evaluation"):
        optimizer.step(thawing)
    assert torch.equal(weights(model), before)


def test_sparse_gradient_is_refused():
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = create("sam", table, lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = table(torch.tensor([1, 2])).square().sum()
        loss.backward()
        return loss

    with pytest.raises(ConfigError, match="parameter weight has a sparse gradient"):
        optimizer.step(closure)


def test_closure_that_never_zeroes_is_refused_at_the_second_step():
    model = Net()
    optimizer = new("sam", model)
    closure = accumulating(optimizer, model, *batch())
    optimizer.step(closure)
    with pytest.raises(StateError, match=r"parameter first\.weight has a gradient from before the step"):
        optimizer.step(closure)


@pytest.mark.parametrize("name", ORACLE)
def test_more_than_a_plain_closure(name):
    """Said by the metadata, and by the error of the first step, which leaves the weights."""
    info, model = get_info(name), Net()
    assert info.requirements().startswith(f"an oracle (sambench.Oracle), asked for {info.asks[0]}")
    optimizer = new(name, model, **info.brief)
    before = weights(model)
    told = re.escape("which a plain closure cannot give; step with sambench.Oracle(...).bind(batch), see docs/own-loop")
    with pytest.raises(ConfigError, match=f"'{name}' needs '.*', {told}"):
        optimizer.step(usual(optimizer, model, *batch()))
    assert torch.equal(weights(model), before)


# -- copies, compilation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
@pytest.mark.parametrize("name", PLAIN)
def test_copy_goes_on_alike(name, how):
    model = Net()
    optimizer = new(name, model, momentum=0.9)
    optimizer.step(usual(optimizer, model, *batch()))
    twin, other = how((model, optimizer))
    for each, rule in ((model, optimizer), (twin, other)):
        for _ in range(2):
            rule.step(usual(rule, each, *batch()))
    assert torch.equal(weights(twin), weights(model))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of dynamo, where it breaks the graph of the step
@pytest.mark.parametrize("what", ["model", "step"])
@pytest.mark.parametrize("name", ["sgd", "sam", "asam", "gsam", "looksam", "vasso"])  # the check `compile` has them all
def test_compiled(name, what):
    torch.compiler.reset()
    model = Net()
    optimizer = new(name, model)
    forward = torch.compile(model, backend="aot_eager") if what == "model" else model
    closure = usual(optimizer, forward, *batch())
    step = torch.compile(optimizer.step, backend="eager") if what == "step" else optimizer.step
    for _ in range(3):
        step(closure)
    torch.testing.assert_close(weights(model), expected(name), rtol=0, atol=1e-12)


# -- the same with the oracle ----------------------------------------------------------------------------------


class Unused(nn.Identity):
    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.ones(3, dtype=torch.float64))


CIRCUMSTANCES = {
    "an unused parameter": lambda model: model.append(Unused()),
    "DDP": DistributedDataParallel,
    "DDP with bucket views": lambda model: DistributedDataParallel(model, gradient_as_bucket_view=True),
}


@pytest.mark.parametrize("what", CIRCUMSTANCES)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in ("bsam", "m_sam", "sampa") else pytest.mark.slow) for n in ORACLE]
)
def test_oracle_in_the_circumstances_of_a_closure(one_process, name, what):
    right = sharded_steps.Loop(name, sharded_steps.network())
    right.step()
    model = sharded_steps.network()
    loop = sharded_steps.Loop(name, CIRCUMSTANCES[what](model))
    loop.step()
    found = torch.cat([p.detach().flatten() for key, p in model.named_parameters() if "unused" not in key])
    if what == "an unused parameter":
        assert bits([model[-1].unused]) == bits([torch.ones(3, dtype=torch.float64)])
        if "whole" in get_info(name).needs:  # its masks count all entries, its noise is drawn for all
            return
    torch.testing.assert_close(found, right.weights(), rtol=0, atol=1e-12)
