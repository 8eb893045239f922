"""Fairness: at one seed all uniform-sampling variants start from the same weights and see the same batches."""

import hashlib

import torch

from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.datasets.samplers import Draw
from sambench.variants import list_variants


def digest(*tensors):
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def stream(spec):
    """Hash the initial weights, the order and the augmented batches of two epochs."""
    run = TrainState(spec, load("digits"), torch.device("cpu"))
    weights = run.weights_digest()
    drawn, batches = [], []
    for epoch in range(2):
        run.begin_epoch(epoch)
        for step in range(run.sampler.steps):
            draw: Draw = run.sampler.draw(step, run.score)
            batch = run.batch(draw, step)
            drawn.append(batch.ids)
            batches += [batch.images, batch.labels]
    return weights, digest(*drawn), digest(*batches)


def test_all_uniform_variants_share_one_stream(tiny_spec):
    augment = "crop:1,flip,cutout:3"
    names = [info.name for info in list_variants() if info.sampler == "uniform"]
    streams = {name: stream(tiny_spec(variant=name, model="wrn10_1", augment=augment)) for name in names}
    assert len(names) >= 5
    assert set(streams.values()) == {streams["sgd"]}


def test_another_seed_is_another_stream(tiny_spec):
    a, b = stream(tiny_spec(augment="crop:1")), stream(tiny_spec(augment="crop:1", seed=1))
    assert all(x != y for x, y in zip(a, b, strict=True))


def test_batches_carry_the_identities_of_the_data_set(tiny_spec):
    dataset = load("digits")
    run = TrainState(tiny_spec(augment="none"), dataset, torch.device("cpu"))
    run.begin_epoch(0)
    batch = run.batch(run.sampler.draw(0, run.score), 0)
    assert torch.equal(dataset.train_labels[batch.ids], batch.labels)
    assert batch.images.shape == (32, 1, 8, 8)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
