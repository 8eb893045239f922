"""Base optimizers: timm's registry with two of its habits undone."""

import pytest
import torch
from torch import nn

from sambench.errors import ConfigError
from sambench.variants import create, list_bases
from sambench.variants._bases import base_hyper, make_base


def test_sgd_is_torch_sgd_without_nesterov():
    base = create("sam", nn.Linear(2, 2), lr=0.1, momentum=0.9).base
    assert isinstance(base, torch.optim.SGD)
    assert base.param_groups[0]["nesterov"] is False
    assert create("sam", nn.Linear(2, 2), lr=0.1, momentum=0.9, nesterov=True).param_groups[0]["nesterov"] is True


@pytest.mark.parametrize("more", [{}, {"nesterov": True}, {"foreach": True}, {"maximize": True, "momentum": 0.0}])
def test_sgd_has_the_bits_and_hooks_of_torch_sgd(more):
    ours, theirs = (nn.Linear(3, 2) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    hyper = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, **more}
    mine, base = create("sgd", ours, **hyper).base, torch.optim.SGD(theirs.parameters(), **hyper)
    seen = []
    for optimizer in (mine, base):
        optimizer.register_step_pre_hook(lambda optimizer, *_: seen.append(optimizer))
    for step in range(3):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            p.grad = q.grad = torch.full_like(p, 0.3 + step)
        mine.step()
        base.step()
        mine.load_state_dict(mine.state_dict())
    assert seen == [mine, base] * 3
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_weight_decay_reaches_biases_and_norms():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    groups = create("sam", model, lr=0.1, weight_decay=0.3).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.3, 4)]


def test_presets_of_timm_are_kept_elsewhere():
    assert base_hyper("rmsprop")["alpha"] == 0.9
    assert create("sam", nn.Linear(2, 2), base="rmsprop", lr=0.1).param_groups[0]["alpha"] == 0.9
    assert base_hyper("nesterov")["nesterov"] is True


@pytest.mark.parametrize("name", ["adamw", "lion", "rmsprop", "adan", "muon", "lamb"])
def test_bases_take_a_step_under_sam(name):
    assert name in list_bases()
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = create("sam", model, base=name, lr=0.01, rho=0.1)
    x = torch.randn(8, 3)

    def closure():
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure)) for _ in range(10)]
    assert losses[-1] < losses[0]


def test_unknown_base_lists_and_suggests():
    with pytest.raises(ConfigError, match=r"unknown base optimizer 'adanm'; did you mean 'adan' or .*Valid: .*sgd"):
        create("sam", nn.Linear(2, 2), base="adanm", lr=0.1)


@pytest.mark.parametrize(
    ("name", "says"),
    [("adahessian", "second derivatives"), ("bnbadam", "bitsandbytes"), ("fusedsgd", "Apex")],
)
def test_base_that_cannot_be_one_says_why(name, says):
    assert name not in list_bases()
    with pytest.raises(ConfigError, match=says):
        make_base(name, [{"params": [torch.zeros(1, requires_grad=True)]}], {"lr": 0.1})


def test_hyper_parameters_of_the_base_are_checked_by_name():
    with pytest.raises(ConfigError, match=r"'momentum' of 'sam' on base 'adamw'\. .*betas"):
        create("sam", nn.Linear(2, 2), base="adamw", lr=0.1, momentum=0.9)
