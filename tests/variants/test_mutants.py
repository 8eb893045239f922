"""The suite notices what it is there to notice: each rule here breaks one property, and that check says so."""

import torch
from mutants import Averaging, assert_fails, fresh, judged

from sambench.variants import Identity, registry
from sambench.variants.sam import SAM


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

    assert_fails(Early, "restore", "the state has changed: state/0/variant.mean")


def test_noise_from_the_global_generator():
    class Global(SAM):
        def ascent(self, at):
            return [0.1 * torch.randn_like(v) for v in at.values]

    assert_fails(Global, "resume", "differs")
