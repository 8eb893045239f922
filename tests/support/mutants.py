"""Rules that break one property on purpose, and the verdict of one check about them."""

from sambench.benchmarks.conformance import judge, list_checks
from sambench.hyper import Hyper
from sambench.variants import StepRule, get_info, register

CHECKS = {one.name: one for one in list_checks()}


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
