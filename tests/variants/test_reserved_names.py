"""A rule cannot give a name of the contract a second meaning: its author is told which, before anything runs."""

import pytest
import torch

from sambench.errors import ConfigError
from sambench.variants import StepRule, create, list_variants, load_plugin, register, registry
from sambench.variants._reserved_names import OPTIMIZER, STATE, VERBS, YOURS, check_names

ONE = torch.zeros(2, requires_grad=True)
TAKEN = sorted(
    ({name for name in dir(StepRule) if not name.startswith("__")} | STATE | OPTIMIZER) - YOURS,
)

PLUGIN = '''
from sambench.variants import StepRule, register


@register("averaging", summary="a rule with an average of its own", paper=None, gradients=1)
class Averaging(StepRule):
    """w+ = base(w, mean of the gradients)."""

    def update(self, closure):
        gradient = self.gradient(closure)
        self.descend(gradient)
        return gradient.loss

    def average(self):
        return 0.5
'''


def rule(**attributes):
    def update(self, closure):
        gradient = self.gradient(closure)
        self.descend(gradient)
        return gradient.loss

    return type("Mine", (StepRule,), {"update": update, "__module__": __name__, **attributes})


def test_what_was_silent_before_is_an_error_at_registration(tmp_path):
    """The mean over devices, which every descend calls, was replaced by whatever a plug-in called average."""
    (tmp_path / "averaging.py").write_text(PLUGIN)
    with pytest.raises(ConfigError, match=r"Averaging defines 'average', which StepRule uses for itself.*otherwise"):
        load_plugin(tmp_path / "averaging.py")
    assert "averaging" not in registry.VARIANTS.members


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("value", [lambda self: None, 3], ids=["method", "value"])
def test_every_name_of_the_framework_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"Mine defines '{name}'"):
        register("mine", summary="x", paper=None, gradients=1)(rule(**{name: value}))
    assert "mine" not in registry.VARIANTS.members


def test_what_is_inherited_is_checked_too():
    parent = rule(noise=0.1)
    with pytest.raises(ConfigError, match="Mine defines 'noise'"):
        check_names(type("Child", (parent,), {}), StepRule)


@pytest.mark.parametrize("name", sorted(STATE | VERBS))
def test_assignment_on_an_instance_is_refused(name):
    optimizer = create("sam", [ONE], lr=0.1)
    before = vars(optimizer).get(name)
    with pytest.raises(ConfigError, match=rf"SAM assigns self\.{name}, .*self\.scalars"):
        setattr(optimizer, name, 5)
    assert vars(optimizer).get(name) is before


def test_rules_may_keep_what_they_like_under_other_names():
    register("mine", summary="x", paper=None, gradients=1)(rule(momentum=0.9, add_param_group=extended))
    optimizer = create("mine", [ONE], lr=0.1)
    optimizer.__setattr__("epochs", 3)
    optimizer.scalars["drift"] = 0.5
    optimizer.own[ONE] = {"mean": torch.zeros(2)}
    assert vars(optimizer)["epochs"] == 3
    assert optimizer.state_dict()["variant"]["scalars"] == {"drift": 0.5}


def extended(self, param_group):
    StepRule.add_param_group(self, param_group)


def test_schedulers_may_wrap_the_step():
    optimizer = create("sam", [ONE], lr=0.1)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    assert "step" in vars(optimizer)


@pytest.mark.parametrize("info", list_variants(), ids=lambda info: info.name)
def test_no_variant_here_does_it(info):
    assert check_names(info.cls, StepRule) is None


def test_names_are_those_that_exist():
    """The lists follow the class: what is in them is there, and what an instance holds is in them."""
    optimizer = create("sam", [ONE], lr=0.1)
    assert vars(optimizer).keys() >= STATE | OPTIMIZER
    assert {name for name in vars(optimizer) if not name.startswith("_")} == STATE | OPTIMIZER
    assert VERBS | YOURS - {"info"} <= vars(StepRule).keys()
