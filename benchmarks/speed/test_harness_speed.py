"""What the harness and a step cost beside the network: WRN-16-1, CIFAR shapes, batch 128, and an MLP on digits.

Both sides are timed in turns.

pytest benchmarks/speed/test_harness_speed.py --benchmark-only -s
"""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from sambench.benchmarks.models.registry import build as build_model
from sambench.benchmarks.precision import autocast, best_precision
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.training.checkpoint import Checkpoints
from sambench.benchmarks.training.loop import train
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.datasets.dataset import build
from sambench.variants import create

CPU = torch.device("cpu")
PRECISION = best_precision(CPU)
STEPS, BATCH = 10, 128
BASE = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}


@pytest.fixture(scope="module")
def dataset():
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (STEPS * BATCH, 3, 32, 32), generator=rng, dtype=torch.uint8)
    labels = torch.arange(STEPS * BATCH) % 10
    return build("noise", (images, labels), (images[:100], labels[:100]), tuple("abcdefghij"))


def training(dataset, variant):
    spec = make_spec(
        {
            "variant": variant,
            "dataset": "noise",
            "model": "wrn16_1",
            "batch_size": BATCH,
            "augment": "crop:4,flip,cutout:16",
            "precision": PRECISION,
            "epochs": 1000,
        }
    )
    return TrainState(spec, dataset, CPU)


def one_epoch(run, tmp_path):
    """Return a function that trains one more epoch by the harness's own loop."""
    checkpoints = Checkpoints(tmp_path, "0" * 64, "", seconds=1e9)

    def epoch():
        run.spec = run.spec.model_copy(update={"epochs": run.epoch + 1})
        train(run, checkpoints)

    return epoch


def gradient(model):
    """Return a function that makes one forward and backward on a ready batch, and nothing else."""
    layout = torch.channels_last
    images = torch.randn(BATCH, 3, 32, 32).contiguous(memory_format=layout)
    labels = torch.arange(BATCH) % 10
    model = model.to(memory_format=layout)

    def evaluate():
        model.zero_grad(set_to_none=True)
        with autocast(PRECISION, CPU):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        return loss.detach()

    return evaluate


@pytest.mark.parametrize(("variant", "evaluations"), [("sgd", 1), ("sam", 2)])
def test_an_epoch_against_its_bare_gradient_evaluations(variant, evaluations, dataset, compare, tmp_path):
    evaluate = gradient(training(dataset, variant).model)

    def bare():
        for _ in range(STEPS * evaluations):
            evaluate()

    what = f"(a) {variant} epoch of {STEPS} steps, {PRECISION}, against bare gradients"
    compare(what, one_epoch(training(dataset, variant), tmp_path), bare)


@pytest.mark.parametrize(("variant", "evaluations"), [("sgd", 1), ("sam", 2)])
@pytest.mark.parametrize(("model", "rounds"), [("mlp", 100), ("wrn10_1", 10)])
def test_a_small_epoch_against_its_bare_gradient_evaluations(model, rounds, variant, evaluations, compare, tmp_path):
    """A network on digits, at a rate that moves nothing: numbers near zero take another time to multiply."""
    spec = make_spec(
        {"variant": variant, "dataset": "digits", "model": model, "lr": 1e-6, "precision": "fp32", "epochs": 1000}
    )
    run = TrainState(spec, load("digits"), CPU)
    run.begin_epoch(0)
    batch, network = run.batch(run.sampler.draw(0, run.score), 0), deepcopy(run.model)

    def bare():
        for _ in range(run.sampler.steps * evaluations):
            network.zero_grad(set_to_none=True)
            F.cross_entropy(network(batch.images), batch.labels).backward()

    what = f"(a) {variant} epoch of {model} on digits, against bare gradients"
    compare(what, one_epoch(run, tmp_path), bare, rounds)


def test_a_small_step_without_any_harness_against_its_bare_gradient_evaluations(compare):
    """The least that a step of SAM adds in PyTorch: a norm, a copy, two sums and ``torch.optim.SGD``; nothing is drawn,
    augmented, counted, checked or kept. No harness can be nearer to bare gradients than this."""
    model = build_model("mlp", classes=10, channels=1, image_size=8, seed=0)
    images, labels = torch.rand(BATCH, 1, 8, 8), torch.arange(BATCH) % 10
    parameters = list(model.parameters())
    kept = [p.detach().clone() for p in parameters]
    base = torch.optim.SGD(parameters, lr=1e-6, momentum=0.9, weight_decay=5e-4)

    def evaluate():
        model.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()

    def bare():
        evaluate()
        evaluate()

    def step():
        evaluate()
        with torch.no_grad():
            gradient = [p.grad for p in parameters]
            scale = 0.05 / (torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradient))) + 1e-12)
            torch._foreach_copy_(kept, parameters)
            torch._foreach_add_(parameters, torch._foreach_mul(gradient, scale))
        evaluate()
        with torch.no_grad():
            torch._foreach_copy_(parameters, kept)
        base.step()

    compare("(a) a sam step of an MLP on digits without a harness, against 2 bare gradients", step, bare, 1000)


def test_a_sam_step_against_two_gradients_and_a_base_step(dataset, compare):
    model, other = training(dataset, "sam").model, training(dataset, "sam").model
    optimizer, base = create("sam", model, rho=0.05, **BASE), torch.optim.SGD(other.parameters(), **BASE)
    mine, theirs = gradient(model), gradient(other)

    def bare():
        theirs()
        theirs()
        base.step()

    what = f"(c) a sam step, {PRECISION}, against 2 bare gradients + base step"
    compare(what, lambda: optimizer.step(mine), bare, rounds=30)


def test_what_a_sam_step_adds(dataset, compare, capsys):
    """The same with gradients that are handed out ready: what is left is the step's own work, free of their noise."""
    model, other = training(dataset, "sam").model, training(dataset, "sam").model
    optimizer, base = create("sam", model, rho=0.05, **BASE), torch.optim.SGD(other.parameters(), **BASE)
    mine, theirs = gradient(model), gradient(other)
    loss = mine()
    theirs()
    ready = {net: [p.grad for p in net.parameters()] for net in (model, other)}

    def hand_out(net):
        for parameter, value in zip(net.parameters(), ready[net], strict=True):
            parameter.grad = value
        return loss

    def bare():
        hand_out(other)
        hand_out(other)
        base.step()

    step, rest = compare(
        "(c) a sam step on ready gradients, against a base step",
        lambda: optimizer.step(lambda: hand_out(model)),
        bare,
        200,
    )
    with capsys.disabled():
        print(f"    a sam step adds {(step - rest) * 1e3:.2f} ms; set it against the two gradients above")
