"""Rules that cost more than they declare, wait for the device, or trip over odd parameters: the suite says so."""

import pytest
import torch
from mutants import Averaging, assert_fails, fresh, judged

from sambench.variants import TINY
from sambench.variants.sam import SAM

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
