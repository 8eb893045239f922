"""Rules that break in a real training run (accumulation, precision, compilation, processes): the suite says so."""

import pytest
import torch
from mutants import CHECKS, assert_fails, fresh, judged

from sambench.benchmarks.conformance import judge
from sambench.benchmarks.conformance.checks import data_parallel as distributed
from sambench.variants import get_info, load_plugin, registry
from sambench.variants.sam import SAM


@pytest.fixture(autouse=True)
def _no_outcomes(monkeypatch):
    monkeypatch.setattr(distributed, "_outcomes", {})


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
