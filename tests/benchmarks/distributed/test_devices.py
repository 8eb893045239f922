"""Steps on two devices, in float64: without m those of one device; with m, the mean of each device's own step.

All variants share one pair of processes.
"""

import copy

import pytest
import torch
from device_steps import DEVICE, NAMES, STEPS, adversarial, trial, work
from process_pair import together

from sambench.benchmarks.conformance.testbed import all_same_bits, distance
from sambench.benchmarks.training.classification import ClassificationOracle
from sambench.benchmarks.training.probe import BATCH
from sambench.variants import universal_sam

HALF = BATCH // 2
POLYAK = ("sam_sps", "usam_sps")
"""Their step size divides by the squared norm of the mean gradient, which is not the mean of anything."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    answers = together(work, tmp_path_factory.mktemp("pair"))
    assert all(isinstance(answer, dict) for answer in answers), answers
    return answers


def apart(one, other):
    return max(distance(a.double(), b.double()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_without_m_two_devices_make_the_steps_of_one(name, pair):
    (tensors, loss, counted, logits, scores), (others, *_) = (answer[name, "whole"] for answer in pair)
    assert all_same_bits(tensors, others)
    alone = trial(name)
    expected = alone.step(STEPS)
    assert apart(tensors, alone.tensors()) <= 1e-12
    assert torch.allclose(loss, expected, rtol=1e-12)
    assert torch.allclose(logits, alone.oracle.logits, rtol=1e-9, atol=1e-12)
    assert torch.allclose(scores, alone.oracle.scores("loss"), rtol=1e-9, atol=1e-12)
    assert counted == alone.oracle.counters


@pytest.mark.parametrize("name", DEVICE)
def test_with_m_the_base_optimizer_gets_the_mean_of_the_devices_directions(name, pair, monkeypatch):
    (tensors, counted, scores), (others, *_) = (answer[name, "halves"] for answer in pair)
    assert all_same_bits(tensors, others)
    assert counted.samples == pair[0][name, "whole"][2].samples
    assert scores.shape == (BATCH,)
    if name in POLYAK:
        assert apart(weights(name, tensors), polyak_of_halves(name)) <= 1e-10
    else:
        assert apart(tensors, mean_of_halves(name, monkeypatch)) <= 1e-11


def test_m_sharpness_on_devices_is_m_sam_on_one(pair):
    """Each device perturbs by its half: that is m_sam with m = B/2, which one process makes from two micro-batches."""
    alone = trial("m_sam", m=HALF)
    alone.step(STEPS)
    expected = [p.detach() for p in alone.model.parameters()]
    assert apart(weights("sam", pair[0]["sam", "halves"][0]), expected) <= 1e-12
    assert apart(weights("sam", pair[0]["sam", "whole"][0]), expected) > 1e-4


@pytest.mark.parametrize(("name", "setting"), [("m_sam", {"m": 1}), ("bsam", {"splits": BATCH})])
def test_a_device_without_a_sample_takes_part(name, setting, pair):
    alone = trial(name, norm="layer", **setting)
    alone.step(STEPS)
    assert apart(pair[0][name, "single"], alone.tensors()) <= 1e-12


def test_micro_batches_are_shared_too(pair):
    alone = trial("sam", lambda model: ClassificationOracle(model, accumulate=5))
    alone.step(STEPS)
    assert apart(pair[0]["sam", "accumulated"], alone.tensors()) <= 1e-12


def test_inputs_are_moved_as_on_one_device(pair):
    alone = adversarial(lambda model: ClassificationOracle(model, accumulate=2))
    alone.step(STEPS)
    tensors, counters = pair[0]["sam", "adversarial"]
    assert apart(tensors, alone.tensors()) <= 1e-12
    assert counters == alone.oracle.counters


# -- what devices with perturbations of their own do, without a group ---------------------------------------------


def on_half(name, rank):
    """A trial that sees its half of every batch."""
    run, at = trial(name), slice(HALF * rank, HALF * (rank + 1))
    run.batches = tuple(batch[at] for batch in run.batches)
    return run


def mean_of_halves(name, monkeypatch):
    """Make every step on each half by itself, and then average what devices share.

    They share weights and averages of weights, running statistics and the state of the base optimizer (bsam's own state
    is its momentum); what else a variant remembers of its gradients is each device's own. Momentum and weight decay are
    linear, so that the mean of two steps is the step along the mean.
    """
    halves = [on_half(name, rank) for rank in range(2)]
    for _ in range(STEPS):
        info = halves[0].info  # which a copy need not have for itself
        what_devices_tell_each_other(halves, copy.deepcopy(halves, {id(info): info}), monkeypatch)
        for half in halves:
            half.step()
        for one, other in zip(*map(shared, halves), strict=True):
            mean = (one + other) / 2
            one.copy_(mean)
            other.copy_(mean)
    return halves[0].tensors()


def what_devices_tell_each_other(halves, copies, monkeypatch):
    """Let copies make the step to find out what devices tell each other within it, and prepare the halves for it.

    The universal class weighs its probes by how losses rise on all devices; SAMPa goes first where all devices' past
    gradients lead.
    """
    rises, descents = [], []
    monkeypatch.setattr(universal_sam, "mean_over_ranks", lambda rise: rises.append(rise) or rise)
    for half in copies:
        seen = []
        half.optimizer.mean_over_devices = lambda values, seen=seen: seen.append([v.clone() for v in values])
        half.step()
        descents.append(seen)
    monkeypatch.setattr(universal_sam, "mean_over_ranks", lambda rise: sum(rises) / 2)
    if halves[0].info.name == "sampa" and len(descents[0]) == 2:
        (one, _), (other, _) = descents
        for half in halves:
            left = [[(a + b) / 2 for a, b in zip(one, other, strict=True)]]
            half.optimizer.mean_over_devices = lambda values, left=left: (
                torch._foreach_copy_(values, left.pop()) if left else None
            )


def shared(half):
    """What devices have in common, as tensors to be averaged in place."""
    optimizer, oracle = half.optimizer, half.oracle
    states = optimizer.own if optimizer.info.name == "bsam" else optimizer.state
    kept = [states[p][key] for p in half.model.parameters() for key in sorted(states.get(p, {}))]
    kept += [*oracle.hook.copies(), *oracle.average.copies()]
    return [t.detach() for t in [*half.model.parameters(), *half.model.buffers(), *kept] if t.is_floating_point()]


def polyak_of_halves(name):
    """SAM with Polyak's step by its formula: gap and squared norm are those of the mean over both halves."""
    plain = name.startswith("u")
    halves = [on_half("usam" if plain else "sam", rank) for rank in range(2)]
    group = trial(name).optimizer.param_groups[0]
    momentum = [torch.zeros_like(p) for p in halves[0].model.parameters()]
    for _ in range(STEPS):
        gradients, gap = [], 0.0
        for half in halves:
            params, oracle = list(half.model.parameters()), half.bind()
            half.done += 1
            oracle()
            at = [p.grad.clone() for p in params]
            norm = 1.0 if plain else torch.cat([g.flatten() for g in at]).norm()
            ascent = [group["rho"] / norm * g for g in at]
            with torch.no_grad():
                before = [p.clone() for p in params]
                torch._foreach_add_(params, ascent)
                loss = oracle_loss(oracle)
                torch._foreach_copy_(params, before)
            gradients.append([p.grad.clone() for p in params])
            gap += float(loss - sum((e * p.grad).sum() for e, p in zip(ascent, params, strict=True))) / 2
        mean = [(a + b) / 2 for a, b in zip(*gradients, strict=True)]
        squared = float(sum(g.square().sum() for g in mean))
        rate = min(max((gap - group["f_star"]) / squared, 0.0), group["gamma_b"])
        with torch.no_grad():
            for i, g in enumerate(mean):
                for half in halves:
                    p = list(half.model.parameters())[i]
                    if half is halves[0]:
                        momentum[i] = group["momentum"] * momentum[i] + g + group["weight_decay"] * p
                    p -= rate * momentum[i]
    return [p.detach() for p in halves[0].model.parameters()]


def oracle_loss(oracle):
    with torch.enable_grad():
        return oracle()


def weights(name, tensors):
    """The parameters among the tensors of a state."""
    names = {key for key, _ in trial(name).model.named_parameters()}
    return [t for key, t in zip(trial(name).model.state_dict(), tensors, strict=True) if key in names]
