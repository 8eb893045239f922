"""What ``create`` accepts as parameters, and what it refuses."""

import pytest
import torch
from torch import nn

from sambench.errors import ConfigError
from sambench.variants import create
from sambench.variants._param_groups import Owner, read_parameters


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.scale = nn.Parameter(torch.ones(()))


def leaf(*shape, **how):
    return torch.ones(*shape, requires_grad=True, **how)


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("weight", True),
        ("0.weight", True),
        ("0.bias", False),
        ("weights.bias", False),
        ("weight_net.0.bias", False),
        ("lstm.weight_ih_l0", True),
        ("lstm.bias_ih_l0", False),
        ("attention.in_proj_weight", True),
        ("conv.parametrizations.weight.original0", True),
        ("conv.parametrizations.bias.original", False),
        ("conv.parametrizations.weight.0.scale", False),
        ("weights.3", True),
        ("experts.3", False),
        ("norm.gain", False),
    ],
)
def test_a_weight_is_told_by_its_own_name(name, weight):
    assert Owner(name).is_weight == weight


def test_module_gives_names_and_modules():
    model = Nested()
    layout = read_parameters(model)
    owner = layout.owners[model.block[1].weight]
    assert (owner.name, owner.module) == ("block.1.weight", model.block[1])
    assert layout.owners[model.scale].name == "scale"
    assert layout.owners[model.scale].module is model
    assert [layout.owners[p].name for p in layout.groups[0]["params"]] == [n for n, _ in model.named_parameters()]


def test_shared_parameter_is_listed_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    layout = read_parameters(model)
    assert len(layout.groups[0]["params"]) == 3


@pytest.mark.parametrize("form", ["list", "generator", "named", "groups", "named groups", "group of one tensor"])
def test_accepted_forms(form):
    model = Nested()
    params, named = list(model.parameters()), list(model.named_parameters())
    given = {
        "list": params,
        "generator": (p for p in params),
        "named": model.named_parameters(),
        "groups": [{"params": params[:2]}, {"params": params[2:], "rho": 0.3}],
        "named groups": [{"params": named[:2]}, {"params": iter(named[2:])}],
        "group of one tensor": [{"params": params[0]}, {"params": params[1:]}],
    }[form]
    layout = read_parameters(given)
    assert [id(p) for group in layout.groups for p in group["params"]] == [id(p) for p in params]
    assert ({o.name for o in layout.owners.values()} == {n for n, _ in named}) == ("named" in form)
    assert all(owner.module is None for owner in layout.owners.values())


def test_given_groups_are_not_changed():
    group = {"params": [("a", leaf(2))], "rho": 0.3}
    create("sam", [group], lr=0.1)
    assert group["params"][0][0] == "a"
    assert set(group) == {"params", "rho"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "nothing to optimize"),
        (nn.Tanh(), "nothing to optimize"),
        ([{"params": []}], "nothing to optimize"),
        (leaf(2), r"not a single tensor: pass \[tensor\]"),
        ([1.0], "must be a tensor or \\(name, tensor\\), got float"),
        ([leaf(2) * 2], "not a leaf tensor"),
        ([leaf(2, dtype=torch.complex64)], "is complex .*view_as_real"),
        ([torch.eye(2).to_sparse().requires_grad_()], "is sparse"),
        ([("w", leaf(2, dtype=torch.complex64))], "parameter w is complex"),
    ],
)
def test_refused_parameters(given, says):
    with pytest.raises(ConfigError, match=says):
        create("sam", given, lr=0.1)


def test_same_parameter_twice_is_refused():
    p = leaf(2)
    with pytest.raises(ConfigError, match="two places"):
        create("sam", [{"params": [p]}, {"params": [p]}], lr=0.1)


def test_rule_that_needs_names_refuses_bare_parameters():
    with pytest.raises(ConfigError, match=r"by their names .*bare parameters: pass a module or named parameters"):
        create("asam", [leaf(2)], lr=0.1)
    assert create("asam", [("weight", leaf(2))], lr=0.1).owners
