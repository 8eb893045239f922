"""Adversarial training: what the passes of a step look at, what it costs, what it leaves alone."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.tracks import fit
from sambench.benchmarks.training.batch import Batch
from sambench.benchmarks.training.classification import ClassificationOracle
from sambench.benchmarks.training.oracle import Oracle
from sambench.benchmarks.training.run import run_spec
from sambench.errors import ConfigError
from sambench.results.records.store import Store
from sambench.seeding import generator
from sambench.variants import create, create_hook, get_info
from sambench.variants.adversarial import LEVELS, ascend

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
SETTING = {"adversarial_epsilon": 16.0, "adversarial_step": 0.5, "adversarial_iterations": 3}


def network(norm=True):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4) if norm else nn.Tanh(), nn.Tanh(), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(4 * 9, 3))


def channels(numbers):
    return torch.tensor(numbers).view(-1, 1, 1)


@pytest.fixture
def pixels():
    return torch.rand(12, 3, 5, 5, generator=generator("pixels", 0))


def bound(model, pixels, name="sam", **settings):
    """Bind a batch under attack to an oracle; returns it, and the step rule."""
    hyper = {**SETTING, **{key: settings.pop(key) for key in list(settings) if key.startswith("adversarial")}}
    oracle = ClassificationOracle(model, normalization=(MEAN, STD), **settings)
    rule = create(name, model, lr=0.1)
    more = {"average": "none", "ids": torch.arange(12), "classes": 3, "steps_per_epoch": 1}
    oracle.attach_plugins(get_info(name), hyper, hook="adversarial", **more)
    images = (pixels - channels(MEAN)) / channels(STD)
    oracle.bind(Batch(images, torch.arange(12) % 3, torch.arange(12)), epoch=0, step=0)
    return oracle, rule


def moved(oracle):
    """Return what the passes look at, as pixels in [0, 1]."""
    return oracle.batch.images * channels(STD) + channels(MEAN)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("start", ["zero", "random"])
def test_images_are_moved_within_the_ball_to_where_their_loss_is_larger(pixels, norm, start):
    model = network()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    oracle, _ = bound(model, pixels, adversarial_norm=norm, adversarial_start=start)
    found, radius = moved(oracle), 16 / LEVELS
    change = (found - pixels).flatten(1)
    sizes = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert 0.5 * radius < sizes.max() <= radius + 1e-6
    assert -1e-6 <= found.min() <= found.max() <= 1 + 1e-6
    assert (oracle.counters.gradient_evaluations, oracle.passes) == (3, 0)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items()), "statistics moved"
    assert all(p.grad is None for p in model.parameters())
    both = (oracle.batch.images, oracle.bound.images)
    losses = [F.cross_entropy(model(images), oracle.batch.labels) for images in both]
    assert losses[0] > losses[1]


def test_the_ascent_is_that_of_the_measure_in_pixels_on_the_network_in_training_mode(pixels):
    oracle, _ = bound(network(), pixels, adversarial_start="zero")
    other, labels = network(), torch.arange(12) % 3

    def gradient(x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(other((x - channels(MEAN)) / channels(STD)), labels), x)[0]

    radius = 16 / LEVELS
    expected = ascend(gradient, pixels, norm="linf", epsilon=radius, step=radius / 2, iterations=3)
    torch.testing.assert_close(moved(oracle), expected)
    fgsm, _ = bound(network(), pixels, adversarial_start="zero", adversarial_step=1.0, adversarial_iterations=1)
    torch.testing.assert_close(moved(fgsm), (pixels + radius * gradient(pixels).sign()).clamp(0, 1))


def test_all_passes_of_a_step_look_at_the_same_images(pixels):
    model, seen = network(), []
    oracle, rule = bound(model, pixels)
    model.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    rule.step(oracle)
    assert len(seen) == 2
    assert all(images is oracle.batch.images for images in seen)
    assert oracle.counters.gradient_evaluations == 3 + 2


def test_micro_batches_are_moved_as_the_whole_batch_is(pixels):
    whole, parts = (bound(network(norm=False), pixels, accumulate=k)[0] for k in (1, 5))
    torch.testing.assert_close(moved(whole), moved(parts))
    assert whole.counters == parts.counters


def test_without_a_ball_it_is_training_as_ever(tiny_spec, tmp_path, essence):
    still = run_spec(tiny_spec(hook="adversarial", hyper={"adversarial_epsilon": 0}), Store(tmp_path / "still"))
    plain = run_spec(tiny_spec(), Store(tmp_path / "plain"))
    assert still.weights == plain.weights
    assert still.counters == plain.counters


def test_what_the_attack_costs_is_declared_and_counted(tiny_spec, tmp_path):
    hyper = {"adversarial_iterations": 2}
    record = run_spec(tiny_spec(variant="sam", hook="adversarial", hyper=hyper), Store(tmp_path))
    assert record.declared_gradients == 4
    assert record.counters.gradient_evaluations == 4 * record.counters.steps
    fields = {"dataset": "digits", "hook": "adversarial", "hyper": hyper, "epochs": 12}
    assert fit(fields, "G", budget=24).epochs == 8
    assert make_spec(fields).label() == "sgd + adversarial seed 0"


def test_in_a_loop_of_ones_own_it_says_what_to_do(pixels):
    model, data = network(), (torch.rand(12, 3, 5, 5), torch.arange(12) % 3)
    hook = create_hook("adversarial", model, ids=torch.arange(12), classes=3)
    oracle = Oracle(
        model,
        logits=lambda model, batch: model(batch[0]),
        loss=lambda logits, batch: F.cross_entropy(logits, batch[1], reduction="none"),
        hook=hook,
    )
    with pytest.raises(ConfigError, match=r"move them before bind\(\)"):
        oracle.bind(data)
