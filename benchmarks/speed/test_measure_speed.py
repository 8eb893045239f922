"""A sharpness measure costs its passes: what ascent and vectors add, in processor time against bare passes."""

import time

import pytest
import torch
import torch.nn.functional as F

from sambench.benchmarks import models
from sambench.benchmarks.measuring.ball import rise_in_ball
from sambench.benchmarks.measuring.objective import Objective
from sambench.seeding import generator

SAMPLES, ITERATIONS, MOST = 1024, 2, 1.1


def _seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


@pytest.mark.benchmark(group="measures")
def test_worst_case_sharpness_of_a_wide_resnet_costs_its_passes(benchmark):
    """ITERATIONS + 1 gradients and a loss, of WRN-16-1 on 1,024 images of 32 x 32 pixels, against plain autograd."""
    network = models.build("wrn16_1", classes=10, seed=0).eval()
    images = torch.randn(SAMPLES, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (SAMPLES,))
    objective = Objective(network, images, labels)
    parameters = list(network.parameters())

    def bare():
        for _ in range(ITERATIONS + 1):
            for part, expected in zip(images.split(256), labels.split(256), strict=True):
                torch.autograd.grad(F.cross_entropy(network(part), expected), parameters)
        with torch.no_grad():
            for part in images.split(256):
                network(part)

    def measure():
        rise_in_ball(objective, objective.theta.abs(), "l2", 0.25, ITERATIONS, generator("a", 0))

    objective.loss(objective.theta)
    times = [(_seconds(bare), _seconds(measure)) for _ in range(3)]
    ratio = min(measured for _, measured in times) / min(passes for passes, _ in times)
    benchmark.extra_info["against bare passes"] = ratio
    benchmark.pedantic(measure, rounds=1)
    assert ratio <= MOST, f"{ratio:.2f} times the bare passes"
