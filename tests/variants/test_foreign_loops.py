"""What other people's loops do to an optimizer: look at its state, freeze layers, leave a group empty, maximize."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

import sambench
from sambench.benchmarks.training.probe import Net, Probe
from sambench.errors import ConfigError
from sambench.variants import VariantInfo, create, list_variants

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
