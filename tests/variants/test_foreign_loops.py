"""What other people's loops do to an optimizer: look at its state, freeze layers, leave a group empty, maximize."""

from copy import deepcopy
from inspect import Parameter, Signature

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

import sambench
from sambench.benchmarks.training.probe import Net, Probe
from sambench.errors import ConfigError
from sambench.variants import VariantInfo, create, create_average, create_hook, list_variants

PLAIN = frozenset({"clock", "subset", "losses", "logits", "ids", "previous", "fresh", "hook", "average"})
"""Needs that a plain closure does not meet."""
EVERY = pytest.mark.parametrize("info", list_variants(), ids=lambda info: info.name)


def trained(info: VariantInfo, before=lambda probe: None, steps: int = 6, **more) -> Probe:
    probe = Probe(info, **more)
    before(probe)
    for _ in range(steps):
        probe.step()
    return probe


@EVERY
def test_a_look_at_the_state_before_the_first_step_changes_nothing(info: VariantInfo) -> None:
    """Without weight decay, which torch's own SGD takes into its momentum on that occasion."""
    plain = {"base_hyper": {"weight_decay": 0.0}}
    looked = trained(info, lambda probe: get_optimizer_state_dict(probe.model, probe.optimizer), **plain)
    assert all(map(torch.equal, looked.model.parameters(), trained(info, **plain).model.parameters()))


@EVERY
@pytest.mark.parametrize("to_none", [True, False])
def test_a_layer_that_is_frozen_in_mid_training_is_where_it_was_in_every_pass(info: VariantInfo, to_none: bool) -> None:
    probe = trained(info)
    layer = probe.model.out
    for p in layer.parameters():
        p.requires_grad_(False)
        p.grad = None if to_none else torch.zeros_like(p)
    kept, seen = layer.weight.clone(), list[bool]()
    layer.register_forward_pre_hook(lambda module, given: seen.append(torch.equal(module.weight, kept)))
    for _ in range(4):
        probe.step()
    assert seen
    if info.name != "mesa":  # its teacher looks through the model with averaged weights
        assert all(seen)


@EVERY
def test_the_first_group_may_be_empty_and_a_parameter_too(info: VariantInfo) -> None:
    class Odd(Net):
        def __init__(self):
            super().__init__("layer", torch.float64)
            self.nothing = nn.Parameter(torch.zeros(0, 3, dtype=torch.float64))

        def forward(self, x):
            return super().forward(x) + self.nothing.sum()

    if info.name == "sam_on":
        pytest.skip("it takes no groups")
    model = Odd()
    groups = {"groups": lambda m: [{"params": []}, {"params": list(m.named_parameters()), "weight_decay": 0.01}]}
    probe = trained(info, model=model, steps=3, **groups)
    assert all(torch.isfinite(p).all() for p in probe.model.parameters())


@EVERY
def test_only_a_rule_that_is_its_base_maximizes(info: VariantInfo) -> None:
    groups = [{"params": list(Net("layer", torch.float32).named_parameters())}]
    if info.name == "sam_on":
        pytest.skip("it takes no groups")
    optimizer = create(info.name, groups, lr=0.1, momentum=0.9)
    saved = deepcopy(optimizer.state_dict())
    saved["param_groups"][0]["maximize"] = True
    extra = {"params": [("extra", nn.Parameter(torch.zeros(2)))], "maximize": True}
    if info.neutral == {}:
        optimizer.load_state_dict(saved)
        optimizer.add_param_group(extra)
        return
    for act in (
        lambda: create(info.name, groups, lr=0.1, momentum=0.9, maximize=True),
        lambda: optimizer.load_state_dict(saved),
        lambda: optimizer.add_param_group(extra),
    ):
        with pytest.raises(ConfigError, match=r"maximize=True is not valid with .* minimize the negative loss"):
            act()
    assert len(optimizer.param_groups) == 1
    optimizer.param_groups[0]["maximize"] = True
    with pytest.raises(ConfigError, match=r"maximize=True is not valid with"):
        optimizer.step(lambda: torch.zeros(()))


@pytest.mark.parametrize("info", [one for one in list_variants() if one.steps_base], ids=lambda info: info.name)
def test_a_base_never_steps_with_what_the_variant_was_given(info: VariantInfo) -> None:
    """SAM's radius is no decay rate of Adadelta's averages: one group holds one value of a name."""
    own, extra = dict.fromkeys(info.hyper, 0.5), {"lr": 0.1}

    def base(params, lr, **others):
        return torch.optim.SGD(params, lr=lr, momentum=0.9)

    signature = [Parameter(name, Parameter.KEYWORD_ONLY, default=0.5) for name in (*extra, *own)]
    for names in ([], *([name] for name in own)):
        base.__signature__ = Signature(  # pyright: ignore[reportFunctionMemberAccess]
            [
                Parameter("params", Parameter.POSITIONAL_ONLY),
                *(one for one in signature if one.name in (*extra, *names)),
            ]
        )
        if not names:
            create(info.name, Net("layer", torch.float32), base=base, **extra)
            continue
        with pytest.raises(ConfigError, match=rf"both have a hyper-parameter '{names[0]}'.*take another base"):
            create(info.name, Net("layer", torch.float32), base=base, **extra)


@EVERY
def test_a_closure_may_return_the_same_tensor_every_time(info: VariantInfo) -> None:
    """As a captured graph does, and a running total."""
    if PLAIN.isdisjoint(info.needs):
        found = []
        for kept in (None, torch.zeros(())):
            probe = Probe(info, dtype=torch.float32)
            model, optimizer = probe.model, probe.optimizer

            def closure(model=model, optimizer=optimizer, kept=kept):
                optimizer.zero_grad()
                inputs, labels = batch()
                loss = nn.functional.cross_entropy(model(inputs), labels)
                loss.backward()
                return loss if kept is None else kept.copy_(loss.detach())

            losses = [float(optimizer.step(closure)) for _ in range(4)]
            found.append((losses, [p.detach().clone() for p in model.parameters()]))
        assert found[0][0] == found[1][0]
        assert all(map(torch.equal, found[0][1], found[1][1]))


@EVERY
def test_a_state_from_before_a_hyper_parameter_was_declared_takes_its_value(info: VariantInfo) -> None:
    probe, old = trained(info), trained(info)
    saved = old.optimizer.state_dict()
    for group in saved["param_groups"]:
        for key in info.hyper:
            del group[key]
    old.optimizer.load_state_dict(saved)
    for one in (probe, old):
        one.step()
    assert all(map(torch.equal, probe.model.parameters(), old.model.parameters()))


def an_oracle(model: nn.Module, **more) -> sambench.Oracle:
    def loss(logits, batch):
        return nn.functional.cross_entropy(logits, batch[1], reduction="none")

    return sambench.Oracle(model, logits=lambda model, batch: model(batch[0]), loss=loss, **more)


def batch(dtype=torch.float32):
    stream = torch.Generator().manual_seed(0)
    return torch.randn(12, 6, generator=stream).to(dtype), torch.arange(12) % 4


def test_the_oracle_takes_up_a_new_head_and_new_buffers():
    """A converted model has other buffers, and a replaced head other parameters."""
    models = [Net("batch", torch.float32).double(), Net("batch", torch.float32)]
    oracles = [an_oracle(model) for model in models]
    models[1].double()
    for model, oracle in zip(models, oracles, strict=True):
        optimizer = create("sam", model, lr=0.1, rho=0.05)
        for _ in range(3):
            optimizer.step(oracle.bind(batch(torch.float64)))
    assert all(map(torch.equal, models[0].buffers(), models[1].buffers()))
    assert all(map(torch.equal, models[0].parameters(), models[1].parameters()))

    model = Net("layer", torch.float32)
    oracle, optimizer = an_oracle(model, clip=1e-6), create("sam", model, lr=0.1, rho=0.05)
    model.out = nn.Linear(8, 4)
    optimizer.add_param_group({"params": list(model.out.parameters())})
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(2):
        optimizer.step(oracle.bind(batch()))
    moved = torch.stack([(p - q).norm() for p, q in zip(model.parameters(), before, strict=True)]).norm()
    assert 0 < moved < 1e-6


@pytest.mark.parametrize("where", ["hook", "closure"])
def test_a_step_that_raises_after_a_pass_is_not_counted_as_made(where: str) -> None:
    """As by ``clip_grad_norm_(..., error_if_nonfinite=True)`` in a hook."""
    model, twin = Net("layer", torch.float32), Net("layer", torch.float32)
    seen = []
    for one, fails in ((model, True), (twin, False)):
        average = create_average("ema", one, ema_decay=0.5, ema_warmup=False)
        oracle = an_oracle(one, average=average, clip=1.0)
        optimizer = create("sam", one, lr=0.1, rho=0.05)
        optimizer.step(oracle.bind(batch()))
        if fails:
            handle = optimizer.register_step_pre_hook(lambda *_: 1 / 0) if where == "hook" else None
            closure = oracle.bind(batch()) if where == "hook" else RaisesAfterAPass(oracle.bind(batch()))
            with pytest.raises(ZeroDivisionError):
                optimizer.step(closure)
            if handle is not None:
                handle.remove()
        optimizer.step(oracle.bind(batch()))
        seen.append(
            (
                average.steps,
                oracle.state_dict()["next_step"],
                optimizer.steps,
                *map(float, average.average[0].flatten()),
            )
        )
    assert seen[0] == seen[1]


class RaisesAfterAPass:
    """An oracle whose second pass raises before it begins."""

    def __init__(self, oracle: sambench.Oracle):
        self.oracle, self.passes = oracle, 0

    def __call__(self, **request):
        self.passes += 1
        return self.oracle(**request) if self.passes == 1 else 1 / 0

    def __getattr__(self, name):
        return getattr(self.oracle, name)


@pytest.mark.parametrize(
    "info", [one for one in list_variants() if one.hook != "none" or one.average != "none"], ids=lambda info: info.name
)
def test_a_variant_steps_with_its_own_plug_in_and_its_own_settings(info: VariantInfo) -> None:
    kind = "hook" if info.hook != "none" else "average"
    name = getattr(info, kind)

    def stepped(plugin, **hyper):
        return create(info.name, model, lr=0.1, **hyper).step(
            an_oracle(model, total_steps=9, **{kind: plugin}).bind(batch(), epoch=0)
        )

    model = Net("layer", torch.float32)
    make = {
        "hook": lambda name, **more: create_hook(name, model, ids=torch.arange(12), classes=4, **more),
        "average": lambda name, **more: create_average(name, model, **more),
    }[kind]
    stepped(make(name))
    with pytest.raises(ConfigError, match=rf"{info.name!r} is its base with {kind} {name!r}, not 'none': give {kind}="):
        stepped(make("none"))
    key, value = next(
        (key, one.check(key, one.high if one.high is not None else one.default + 1))
        for key, one in info.hyper.items()
        if one.numeric
    )
    with pytest.raises(ConfigError, match=rf"{key}={value!r} of {info.name!r} is not what its {kind} has"):
        stepped(make(name), **{key: value})
    stepped(make(name, **{key: value}), **{key: value})
    stepped(make(name, **{key: value}))


@pytest.mark.parametrize("of", ["oracle", "loss"])
def test_an_oracle_of_another_model_is_refused(of: str) -> None:
    """As after a notebook's cell with the model was run once more: nothing would be trained."""
    model, other = Net("layer", torch.float32), Net("layer", torch.float32)

    def loss(one, batch):
        return nn.functional.cross_entropy((one if of == "oracle" else other)(batch[0]), batch[1], reduction="none")

    oracle = sambench.Oracle(other if of == "oracle" else model, loss=loss)
    optimizer = create("sam", model, lr=0.1)
    with pytest.raises(ConfigError, match=r"no batch yet: optimizer\.step\(oracle\.bind\(batch\)\)"):
        optimizer.step(oracle)
    with pytest.raises(ConfigError, match=r"left no gradient on any parameter.* of another model"):
        optimizer.step(oracle.bind(batch()))


def test_random_numbers_of_the_cpu_are_one_step_s_where_the_model_is_elsewhere(monkeypatch):
    """As in a model on a GPU whose layers are dropped by numbers that are drawn on the CPU."""
    drawn = list[float]()

    class Drops(Net):
        def forward(self, x):
            drawn.append(float(torch.rand([])))
            return super().forward(x)

    model = Drops("layer", torch.float32)
    monkeypatch.setattr("sambench.benchmarks.training.passes.generator_of", lambda device: torch.Generator())
    oracle, optimizer = an_oracle(model), create("sam", model, lr=0.1)
    oracle.draws = True
    before = torch.get_rng_state()
    for _ in range(3):
        optimizer.step(oracle.bind(batch()))
    assert torch.equal(torch.get_rng_state(), before)
    assert drawn[::2] == drawn[1::2]
    assert len(set(drawn)) == 3


def test_a_clipping_oracle_is_refused_by_a_plain_optimizer_by_name_too():
    model = Net("layer", torch.float32)
    oracle = an_oracle(model, clip=1.0)
    with pytest.raises(ConfigError, match="clip= acts between the passes and the base step"):
        torch.optim.SGD(model.parameters(), lr=0.1).step(closure=oracle.bind(batch()))
