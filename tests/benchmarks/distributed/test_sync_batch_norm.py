"""BatchNorm over several processes: on one it is torch's own, with its gradients and running statistics."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sambench.benchmarks.distributed.process_group import SINGLE_PROCESS
from sambench.benchmarks.distributed.sync_batch_norm import SynchronizedBatchNorm, batch_norm


def inputs(dtype, shape=(6, 3, 4, 5)):
    rng = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=rng, dtype=torch.float64).mul_(3).add_(100).to(dtype).requires_grad_()


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4), (6, 3, 4, 5)])
@pytest.mark.parametrize("affine", [True, False])
def test_alone_it_is_the_function_of_torch(shape, affine):
    x, other = inputs(torch.float64, shape), inputs(torch.float64, shape)
    weights = [torch.full((3,), v, dtype=torch.float64, requires_grad=True) for v in (1.5, 0.5)] if affine else []
    statistics = [[torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)] for _ in range(2)]
    cotangent = torch.linspace(-1, 1, x.numel(), dtype=torch.float64).view(shape)
    scale, shift = weights or (None, None)
    found = batch_norm(SINGLE_PROCESS, x, *statistics[0], scale, shift, True, 0.3, 1e-5)
    expected = F.batch_norm(other, *statistics[1], scale, shift, True, 0.3, 1e-5)
    assert torch.allclose(found, expected, atol=1e-12)
    for a, b in zip(*statistics, strict=True):
        assert torch.allclose(a, b, rtol=1e-12)
    derivatives = torch.autograd.grad(found, [x, *weights], cotangent)
    references = torch.autograd.grad(expected, [other, *weights], cotangent)
    assert all(torch.allclose(a, b, atol=1e-11) for a, b in zip(derivatives, references, strict=True))


def test_variance_does_not_cancel():
    """Values around 100 with a spread of 3: sums of squares in float32 would lose three digits of the variance."""
    x = inputs(torch.float32)
    mean, var = torch.zeros(3), torch.zeros(3)
    batch_norm(SINGLE_PROCESS, x, mean, var, training=True, momentum=1.0)
    exact = x.double().var((0, 2, 3))
    assert torch.allclose(var.double(), exact, rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_inside_the_block_every_layer_that_calls_it_is_synchronized(training, monkeypatch):
    layer = nn.BatchNorm2d(3).train(training)
    calls = []
    monkeypatch.setattr(SINGLE_PROCESS, "all_gather_rows", lambda rows, at, count: calls.append(len(rows)) or rows)
    with SynchronizedBatchNorm(SINGLE_PROCESS):
        layer(inputs(torch.float32))
    assert calls == ([1] if training else [])
    layer(inputs(torch.float32))
    assert len(calls) <= 1
    assert int(layer.num_batches_tracked) == (2 if training else 0)


def test_half_precision_is_normalized_in_single():
    x = inputs(torch.bfloat16)
    found = batch_norm(SINGLE_PROCESS, x, None, None, training=True)
    assert found.dtype == torch.bfloat16
    expected = F.batch_norm(x.float(), None, None, training=True).bfloat16()
    assert (found - expected).abs().max() <= 0.01
    assert torch.autograd.grad(found.sum(), x)[0].dtype == torch.bfloat16


def test_a_single_value_leaves_finite_statistics():
    """As many as one process refuses: the others have met it by then."""
    mean, var = torch.zeros(3), torch.ones(3)
    batch_norm(SINGLE_PROCESS, torch.randn(1, 3, 1, 1), mean, var, training=True)
    assert torch.isfinite(var).all()
