"""A small network without BatchNorm, a closure over it, and ways to compare bits."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.variants import StepRule, create


@dataclass
class Task:
    """A model, a batch and the closure that a user would write."""

    model: nn.Module
    x: Tensor
    y: Tensor

    def closure(self) -> Tensor:
        self.model.zero_grad()
        loss = F.cross_entropy(self.model(self.x).float() if self.x.dtype.itemsize < 4 else self.model(self.x), self.y)
        loss.backward()
        return loss

    def optimizer(self, name: str, **hyper) -> StepRule:
        return create(name, self.model, **({"lr": 0.1, "momentum": 0.9} | hyper))

    def weights(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.model.parameters()]


def make_task(dtype: torch.dtype = torch.float64, seed: int = 0) -> Task:
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.5)
    x = torch.randn(12, 6, generator=generator).to(dtype)
    return Task(model.to(dtype), x, torch.randint(4, (12,), generator=generator))


@pytest.fixture
def task() -> Task:
    return make_task()


@pytest.fixture
def new_task() -> Callable[..., Task]:
    """The same task again, as often as asked."""
    return make_task
