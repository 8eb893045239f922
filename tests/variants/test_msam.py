"""MSAM on base optimizers that keep their momentum under another name than SGD."""

import pytest
import torch

from sambench.errors import ConfigError
from sambench.variants import create

STEPS, LR, RHO, EPS = 8, 0.01, 0.3, 1e-8


def test_on_adamw_it_perturbs_along_the_average_of_gradients(new_task):
    """AdamW and its average m written out; without weight decay, where the authors' code decays after the step."""
    ours, by_hand = new_task(), new_task()
    optimizer = create("msam", ours.model, base="adamw", lr=LR, rho=RHO, weight_decay=0.0)
    params = list(by_hand.model.parameters())
    m, v = ([torch.zeros_like(p) for p in params] for _ in range(2))
    for t in range(1, STEPS + 1):
        optimizer.step(ours.closure)
        with torch.no_grad():
            start = [p.clone() for p in params]
            norm = torch.sqrt(sum(a.square().sum() for a in m)) + 1e-12
            for p, a in zip(params, m, strict=True):
                p -= RHO * a / norm
        by_hand.closure()
        with torch.no_grad():
            for p, w, a, b in zip(params, start, m, v, strict=True):
                a.mul_(0.9).add_(0.1 * p.grad)
                b.mul_(0.999).add_(0.001 * p.grad**2)
                p.copy_(w - LR * (a / (1 - 0.9**t)) / (torch.sqrt(b / (1 - 0.999**t)) + EPS))
    for p, q in zip(ours.weights(), by_hand.weights(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("base", "hyper"), [("sgd", {}), ("adamw", {"betas": (0.0, 0.999)}), ("rmsprop", {})])
def test_base_without_momentum_is_refused(new_task, base, hyper):
    with pytest.raises(ConfigError, match=r"has no momentum: use base='sgd' with momentum=0\.9, or base='adamw'"):
        create("msam", new_task().model, base=base, lr=LR, **hyper)
