"""The suite notices what it is there to notice: each rule here breaks one property, and that check says so."""

import pytest
import torch

from sambench.benchmarks.conformance import distributed, judge, list_checks
from sambench.hyper import Hyper
from sambench.variants import TINY, Identity, StepRule, get_info, load_plugin, register, registry
from sambench.variants.sam import SAM

CHECKS = {one.name: one for one in list_checks()}


@pytest.fixture(autouse=True)
def _no_outcomes(monkeypatch):
    monkeypatch.setattr(distributed, "_outcomes", {})


def judged(cls, check: str, **metadata):
    declared = {
        "summary": "a rule that is broken on purpose",
        "paper": None,
        "gradients": 2,
        "transient": 1,
        "hyper": {"rho": Hyper(0.05, "radius", low=0)},
        "neutral": {"rho": 0.0},
    }
    register("mutant", **(declared | metadata))(cls)
    return judge(CHECKS[check], get_info("mutant"))


def assert_fails(cls, check: str, says: str, **metadata):
    result = judged(cls, check, **metadata)
    assert result.verdict == "fail", result.reason
    assert says in result.reason


def fresh(cls):
    """A subclass of its own, since registration writes on the class."""
    return type(cls.__name__, (cls,), {"__module__": cls.__module__})


def test_sound_rule_passes_under_the_same_conditions():
    for check in ("neutral", "restore", "resume", "cost", "edges", "buffers", "accumulate", "clip", "bf16", "fp16"):
        registry.VARIANTS.members.pop("mutant", None)
        result = judged(fresh(SAM), check)
        assert result.verdict == "pass", result.reason


# -- 1 and 2 ---------------------------------------------------------------------------------------------------


def test_one_rounding_is_not_the_base_optimizer():
    class Rounded(SAM):
        def update(self, closure):
            at = self.gradient(closure)
            torch._foreach_mul_(at.values, 1.0000001)
            self.descend(at)
            return at.loss

    assert_fails(Rounded, "neutral", "step 0, weights or buffers are not the base optimizer's")


def test_wrong_loss_is_noticed_at_the_neutral_setting():
    class Shifted(SAM):
        def update(self, closure):
            return super().update(closure) + 1.0

    assert_fails(Shifted, "neutral", "the loss is")
    registry.VARIANTS.members.pop("mutant")
    assert_fails(fresh(Shifted), "restore", "the loss at the unperturbed weights is")


def test_false_identity():
    assert_fails(fresh(SAM), "identity", "does not hold: step 0", identities=(Identity({"rho": 0.1}, "usam"),))


def test_raised_errors_are_verdicts():
    class Broken(SAM):
        def update(self, closure):
            raise ZeroDivisionError("on purpose")

    assert_fails(Broken, "cost", "raises ZeroDivisionError: on purpose")


# -- 3 and 4 ---------------------------------------------------------------------------------------------------


class Subtracting(SAM):
    """Takes the perturbation off instead of putting the weights back."""

    def update(self, closure):
        at = self.gradient(closure)
        ascent = self.ascent(at)
        torch._foreach_add_(at.params, ascent)
        worst = self.gradient(closure)
        torch._foreach_sub_(at.params, ascent)
        self.descend(worst)
        return at.loss


def test_subtraction_drifts():
    assert_fails(fresh(Subtracting), "restore", "other weights than those where the step began")


def test_weights_left_perturbed_by_an_exception():
    class Careless(SAM):
        def update(self, closure):
            at = self.gradient(closure)
            stored = [p.clone() for p in at.params]
            torch._foreach_add_(at.params, self.ascent(at))
            worst = self.gradient(closure)
            torch._foreach_copy_(at.params, stored)
            self.descend(worst)
            return at.loss

    assert_fails(Careless, "restore", "raises in call 2 the weights do not come back")


def test_rebound_storage():
    class Rebinding(SAM):
        def update(self, closure):
            at = self.gradient(closure)
            for p in at.params:
                p.data = p.data.clone()
            self.descend(at)
            return at.loss

    assert_fails(Rebinding, "restore", "has other storage")


class Averaging(StepRule):
    """Descends on an average of gradients; what it forgets to do is up to the subclass."""

    def update(self, closure):
        g = self.gradient(closure)
        self.remember(g)
        self.descend(g.like([m.clone() for m in self.recall(g)]))
        return g.loss

    def remember(self, g):
        for p, v in zip(g.params, g.values, strict=True):
            self.own[p] = {"mean": v + 0.5 * self.own[p]["mean"] if p in self.own else v}

    def recall(self, g):
        return [self.own[p]["mean"] for p in g.params]


def test_sound_state_passes():
    assert judged(fresh(Averaging), "resume", gradients=1).verdict == "pass"
    registry.VARIANTS.members.pop("mutant")
    assert judged(fresh(Averaging), "restore", gradients=1).verdict == "pass"


def test_state_outside_the_state_dict():
    class Forgetful(Averaging):
        mean = None

        def remember(self, g):
            self.mean = (
                g.values if self.mean is None else [v + 0.5 * m for v, m in zip(g.values, self.mean, strict=True)]
            )

        def recall(self, g):
            return self.mean

    assert_fails(Forgetful, "resume", "step 5 after loading differs", gradients=1)
    registry.VARIANTS.members.pop("mutant")
    assert_fails(fresh(Forgetful), "buffers", "leaves 1.00 parameter-sized buffers behind", gradients=1)


def test_state_changed_before_the_last_gradient():
    class Early(Averaging):
        def update(self, closure):
            g = self.gradient(closure)
            self.remember(g)
            self.descend(self.gradient(closure))
            return g.loss

    assert_fails(Early, "restore", "the state has changed: variant/own")


def test_noise_from_the_global_generator():
    class Global(SAM):
        def ascent(self, at):
            return [0.1 * torch.randn_like(v) for v in at.values]

    assert_fails(Global, "resume", "differs")


# -- 5 ---------------------------------------------------------------------------------------------------------


def test_undeclared_gradient():
    assert_fails(fresh(SAM), "cost", "declares 1 per step and costs 2 over 40 steps", gradients=1)


class Sometimes(SAM):
    """SAM with probability one half, else the base."""

    def update(self, closure):
        if torch.rand((), generator=self.noise()).item() < 0.5:
            return super().update(closure)
        g = self.gradient(closure)
        self.descend(g)
        return g.loss


@pytest.mark.parametrize(
    ("declared", "cost", "verdict"),
    [(1.5, "random", "pass"), (1.02, "random", "fail"), (1.5, "adaptive", "pass"), (2.5, "adaptive", "fail")],
)
def test_random_cost_is_held_to_its_distribution(declared, cost, verdict):
    result = judged(fresh(Sometimes), "cost", gradients=declared, cost=cost)
    assert result.verdict == verdict, result.reason


def test_undeclared_forward_pass():
    class Looking(SAM):
        def update(self, closure):
            closure.losses()
            return super().update(closure)

    assert_fails(Looking, "cost", "forward evaluations: declares 0 per step and costs 1")


# -- 6 ---------------------------------------------------------------------------------------------------------


def test_division_by_a_zero_norm():
    class Dividing(SAM):
        def ascent(self, at):
            norm = at.norm()
            return [g / norm for g in at.values]

    assert_fails(Dividing, "edges", "zero gradient: weights, state or loss are no longer finite")


def test_parameters_without_gradient_are_moved():
    class Reaching(SAM):
        def update(self, closure):
            loss = super().update(closure)
            for p in self.param_groups[0]["params"]:
                p.mul_(0.9)
            return loss

    assert_fails(Reaching, "edges", "no gradient at all: the weights move")


def test_radius_of_the_first_group_for_all():
    class First(SAM):
        def ascent(self, at):
            scale = self.param_groups[0]["rho"] / (at.norm() + TINY)
            return [g * scale for g in at.values]

    assert_fails(First, "edges", "a group's own rho has no effect")


def test_empty_lists():
    class Unguarded(SAM):
        def ascent(self, at):
            return list(torch._foreach_mul(at.values, 0.1))

    assert_fails(Unguarded, "edges", "raises RuntimeError")


# -- 8 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda norm: norm.item(), "item()"),
        (lambda norm: float(norm), "item()"),
        (lambda norm: 1.0 if norm > 0 else 0.0, "a branch on a tensor"),
        (lambda norm: norm.tolist(), "tolist()"),
        (lambda norm: norm.cpu(), "cpu()"),
        (lambda norm: torch.ones(1, device=norm.device)[(norm > 0).view(1)].sum(), "indexing with a mask"),
        (lambda norm: (norm > 0).view(1).nonzero().sum(), "nonzero()"),
    ],
)
def test_waiting_for_the_device(read, says):
    class Reading(SAM):
        def ascent(self, at):
            read(at.norm())
            return super().ascent(at)

    assert_fails(Reading, "buffers", says)


def test_declared_wait_must_happen():
    assert_fails(fresh(SAM), "buffers", "declares synchronizes=True and never waits", synchronizes=True)


def test_undeclared_buffer():
    class Copying(SAM):
        def ascent(self, at):
            self.kept = None
            copies = [v.clone() for v in at.values]
            ascent = super().ascent(at)
            return [a + 0 * c for a, c in zip(ascent, copies, strict=True)]

    assert_fails(Copying, "buffers", "declares transient=1 parameter-sized buffers; measured 2.")


def test_undeclared_state():
    assert_fails(fresh(Averaging), "buffers", "declares state=0 parameter-sized buffers; measured 1.00", gradients=1)


# -- 9 ---------------------------------------------------------------------------------------------------------


def test_rule_keyed_on_whole_names_breaks_in_a_compiled_model():
    class ByName(SAM):
        def ascent(self, at):
            scale = [1.0 if self.owners[p].name.startswith("hidden") else 0.0 for p in at.params]
            return [v * s for v, s in zip(super().ascent(at), scale, strict=True)]

    assert_fails(ByName, "compile", "differs from that of the plain model", needs=("names",))


def test_rule_that_reacts_to_clipping():
    class Peeking(SAM):
        def update(self, closure):
            at = self.gradient(closure)
            self.descend(at)
            torch._foreach_copy_([p.grad for p in at.params], [2 * torch.ones_like(p) for p in at.params])
            self.base.step()
            return at.loss

    assert judged(Peeking, "clip").verdict == "pass"
    assert "the base steps 2 times" in judge(CHECKS["clip"], get_info("mutant")).reason


def test_steps_of_the_base_are_as_declared():
    class Own(SAM):
        def update(self, closure):
            at = self.gradient(closure)
            torch._foreach_sub_(at.params, at.values, alpha=0.1)
            return at.loss

    assert_fails(Own, "clip", "declares steps_base=True and steps its base 0 times")
    registry.VARIANTS.members.pop("mutant")
    assert_fails(fresh(SAM), "clip", "declares steps_base=False and steps its base 1 times", steps_base=False)
    registry.VARIANTS.members.pop("mutant")
    assert judged(fresh(Own), "clip", steps_base=False).verdict == "n/a"


def test_rule_that_works_in_units_of_the_batch_breaks_under_accumulation():
    class Counting(SAM):
        def update(self, closure):
            loss = super().update(closure)
            for p in self.owners:
                p.add_(1e-3 * closure.accumulate)
            return loss

    assert_fails(Counting, "accumulate", "differs from that of the whole batch")


def test_state_in_half_precision_goes_another_way():
    class Reversing(SAM):
        def update(self, closure):
            g = self.gradient(closure)
            sign = 1.0 if closure.precision == "fp32" else -1.0
            self.descend(g.like([sign * v for v in g.values]))
            return g.loss

    assert_fails(Reversing, "bf16", "goes another way than float32", gradients=1)


PLUGIN = """
import os

from sambench.variants import Hyper, register
from sambench.variants.sam import SAM


def rule(name):
    return register(name, summary="a rule", paper=None, gradients=1, hyper={"rho": Hyper(0.05, "radius", low=0)})


@rule("ends")
class Ends(SAM):
    def update(self, closure):
        os._exit(3)


@rule("local")
class Local(SAM):
    def update(self, closure):
        at = self.gradient(closure)
        self.descend(at.like([v * float(at.loss) for v in at.values]))
        return at.loss


@rule("raises")
class Raises(SAM):
    def update(self, closure):
        raise ValueError("on purpose")


@rule("sound")
class Sound(SAM):
    pass
"""


@pytest.mark.slow
def test_one_bad_rule_in_two_processes_spoils_no_other(tmp_path):
    (tmp_path / "rules.py").write_text(PLUGIN)
    names = load_plugin(tmp_path / "rules.py")
    distributed.prepare(names)
    results = {name: judge(CHECKS["ddp"], get_info(name)) for name in names}
    assert {name: result.verdict for name, result in results.items()} == {
        "ends": "fail",
        "local": "fail",
        "raises": "fail",
        "sound": "pass",
    }
    assert "the processes ended" in results["ends"].reason
    assert "something local decides the step" in results["local"].reason
    assert "ValueError: on purpose" in results["raises"].reason
