"""What the harness costs beside the network: WRN-16-1, CIFAR shapes, batch 128; both sides timed in turns.

    pytest benchmarks/speed/test_harness_speed.py --benchmark-only -s

Each benchmark prints the two medians and their ratio, on the machine it runs on. Nothing fails on a clock.
"""

import statistics
import time

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from sambench.benchmarks.checkpoint import Checkpoints
from sambench.benchmarks.harness import train
from sambench.benchmarks.precision import autocast, best_precision
from sambench.benchmarks.spec import make_spec
from sambench.benchmarks.training import Training
from sambench.datasets.dataset import build
from sambench.variants import create

CPU = torch.device("cpu")
PRECISION = best_precision(CPU)
STEPS, BATCH, ROUNDS = 10, 128, 5


@pytest.fixture(scope="module")
def dataset():
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (STEPS * BATCH, 3, 32, 32), generator=rng, dtype=torch.uint8)
    labels = torch.arange(STEPS * BATCH) % 10
    return build("noise", (images, labels), (images[:100], labels[:100]), tuple("abcdefghij"))


@pytest.fixture
def compare(benchmark, capsys):
    """Time two sides in turns, hand all rounds to pytest-benchmark, and print medians and ratio."""

    def run(what, ours, other, rounds=ROUNDS):
        times = {"ours": [], "other": []}

        def one_round():
            for name, side in (("other", other), ("ours", ours)):
                start = time.perf_counter()
                side()
                times[name].append(time.perf_counter() - start)

        one_round()
        times["ours"].clear(), times["other"].clear()
        benchmark.pedantic(one_round, rounds=rounds, iterations=1)
        mine, theirs = statistics.median(times["ours"]), statistics.median(times["other"])
        benchmark.extra_info |= {"ours": mine, "other": theirs, "ratio": mine / theirs}
        with capsys.disabled():
            print(f"\n{what}: {mine * 1e3:.1f} ms against {theirs * 1e3:.1f} ms, ratio {mine / theirs:.3f}")
        assert len(times["ours"]) == len(times["other"]) == rounds

    return run


def training(dataset, variant, **fields):
    fields = {"augment": "crop:4,flip,cutout:16", "precision": PRECISION, "epochs": 1000, **fields}
    spec = make_spec({"variant": variant, "dataset": "noise", "model": "wrn16_1", "batch_size": BATCH, **fields})
    return Training(spec, dataset, CPU)


def one_epoch(run, tmp_path):
    """Return a function that trains one more epoch by the harness's own loop."""
    checkpoints = Checkpoints(tmp_path, "0" * 64, "", seconds=1e9)

    def epoch():
        run.spec = run.spec.model_copy(update={"epochs": run.epoch + 1})
        train(run, checkpoints)

    return epoch


def bare(model, evaluations, step=lambda: None, steps=STEPS):
    """Return a function that makes forward and backward on one ready batch, and nothing else."""
    layout = torch.channels_last
    images = torch.randn(BATCH, 3, 32, 32).contiguous(memory_format=layout)
    labels = torch.arange(BATCH) % 10
    model = model.to(memory_format=layout)

    def passes():
        for _ in range(steps):
            for _ in range(evaluations):
                model.zero_grad(set_to_none=True)
                with autocast(PRECISION, CPU):
                    logits = model(images)
                F.cross_entropy(logits.float(), labels).backward()
            step()

    return passes


@pytest.mark.parametrize(("variant", "evaluations"), [("sgd", 1), ("sam", 2)])
def test_an_epoch_against_its_bare_gradient_evaluations(variant, evaluations, dataset, compare, tmp_path):
    run = training(dataset, variant)
    compare(
        f"(a) {variant} epoch of {STEPS} steps, {PRECISION}, against bare gradients",
        one_epoch(run, tmp_path),
        bare(training(dataset, variant).model, evaluations),
    )


def test_a_sam_step_against_two_gradients_and_a_base_step(dataset, compare):
    model, other = training(dataset, "sam").model, training(dataset, "sam").model
    base = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    optimizer = create("sam", model, lr=0.1, momentum=0.9, weight_decay=5e-4, rho=0.05)
    closure = bare(model, 1, steps=1)
    losses = torch.zeros(())

    def steps():
        for _ in range(STEPS):
            optimizer.step(lambda: closure() or losses)

    compare(
        f"(c) {STEPS} sam steps, {PRECISION}, against 2 bare gradients + base step", steps, bare(other, 2, base.step)
    )


def test_a_sam_epoch_against_the_usual_recipe(dataset, compare, tmp_path):
    """The usual recipe: PyPI ``unifiedsam``, torchvision transforms in a DataLoader with 2 workers, fp32."""
    from torchvision import transforms
    from unifiedsam import unifiedSAM

    class Images(torch.utils.data.Dataset):
        transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
                transforms.RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0)),
            ]
        )

        def __init__(self):
            self.images = [Image.fromarray(x.permute(1, 2, 0).numpy()) for x in dataset.train_images]

        def __len__(self):
            return len(self.images)

        def __getitem__(self, i):
            return self.transform(self.images[i]), int(dataset.train_labels[i])

    loader = torch.utils.data.DataLoader(Images(), BATCH, shuffle=True, num_workers=2, drop_last=True)
    model = training(dataset, "sam", channels_last=False).model.to(memory_format=torch.contiguous_format)
    peer = unifiedSAM(model.parameters(), torch.optim.SGD, rho=0.05, lambd=1.0, lr=0.1, momentum=0.9, weight_decay=5e-4)

    def usual():
        for images, labels in loader:
            F.cross_entropy(model(images), labels).backward()
            peer.first_step(zero_grad=True)
            F.cross_entropy(model(images), labels).backward()
            peer.second_step(zero_grad=True)

    run = training(dataset, "sam")
    compare(f"(b) sam epoch of {STEPS} steps, {PRECISION}, against the usual recipe", one_epoch(run, tmp_path), usual)
