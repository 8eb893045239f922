"""Agreement with other people's implementations, where one can be installed and is sound.

What each peer needs, and where it departs, stands beside its test. 50 steps or more, in float64, on a network without
BatchNorm; no peer shares code with this package.
"""

import importlib

import pytest
import torch

from sambench.variants import create

STEPS = 60
TOLERANCE = 1e-12


def largest_difference(one, two) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one.weights(), two.weights(), strict=True))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("lam", [0.0, 0.25, 0.5, 1.0, "1/t", "1-1/t"])
def test_unified_sam_is_the_authors_package(new_task, lam, momentum):
    """PyPI ``unifiedsam``: its ``step`` takes for granted that the caller has evaluated the first gradient."""
    peer_package = importlib.import_module("unifiedsam")
    ours, theirs = new_task(), new_task()
    optimizer = ours.optimizer("unified_sam", rho=0.2, lam=lam, momentum=momentum, weight_decay=5e-4)
    peer = peer_package.unifiedSAM(
        theirs.model.parameters(), torch.optim.SGD, rho=0.2, lambd=lam, lr=0.1, momentum=momentum, weight_decay=5e-4
    )
    for _ in range(STEPS):
        optimizer.step(ours.closure)
        peer.zero_grad()
        theirs.closure()
        peer.step(theirs.closure)
    assert largest_difference(ours, theirs) < TOLERANCE
    assert largest_difference(ours, new_task()) > 0.1


@pytest.mark.parametrize("base", ["sgd", "adamw"])
def test_sam_is_that_of_pytorch_optimizer(new_task, base):
    """``pytorch_optimizer.SAM``: evaluates only the second gradient itself, and sums the norm in float32."""
    peer_package = importlib.import_module("pytorch_optimizer")
    ours, theirs = new_task(), new_task()
    hyper = {"lr": 0.1, "momentum": 0.9} if base == "sgd" else {"lr": 0.01, "weight_decay": 0.1}
    kind = torch.optim.SGD if base == "sgd" else torch.optim.AdamW
    optimizer = create("sam", ours.model, base=base, rho=0.3, **hyper)
    peer = peer_package.SAM(theirs.model.parameters(), kind, rho=0.3, adaptive=False, **hyper)
    for _ in range(STEPS):
        optimizer.step(ours.closure)
        peer.zero_grad()
        theirs.closure()
        peer.step(theirs.closure)
    assert largest_difference(ours, theirs) < 1e-6
    assert largest_difference(ours, new_task()) > 0.1
