"""One variant on a tiny problem: what the conformance checks step through, and what its behaviour is told by."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from ...hyper import Value
from ...seeding import generator
from ...variants import AVERAGES, HOOKS, StepRule, VariantInfo, create
from .batch import Batch
from .classification import ClassificationOracle, values_of

INPUTS, HIDDEN, CLASSES = 6, 8, 4
BATCH, BATCHES, TOTAL = 12, 4, 40
"""Samples of a batch, batches of an epoch, steps of a whole run."""

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "momentum": ("sgd", {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}),
    "nesterov": ("sgd", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "adamw": ("adamw", {"lr": 0.01, "weight_decay": 0.05}),
    "lion": ("lion", {"lr": 0.003}),
    "stateless": ("sgd", {"lr": 0.05}),
}
"""The base optimizers that a variant is tried on."""


def _uniform(shape: tuple[int, ...], most: float, stream: torch.Generator) -> Tensor:
    """Draw numbers between -most and most on a grid of 1/1024 of it: the same on every processor, as normal ones
    are not."""
    return most / 1024 * torch.randint(-1024, 1025, shape, generator=stream)


class Net(nn.Module):
    """Two linear layers around a normalization layer and tanh."""

    def __init__(self, norm: str, dtype: torch.dtype, width: int = HIDDEN):
        super().__init__()
        self.hidden = nn.Linear(INPUTS, width)
        self.norm = nn.BatchNorm1d(width) if norm == "batch" else nn.LayerNorm(width)
        self.out = nn.Linear(width, CLASSES)
        stream = generator("conformance:weights", 0)
        with torch.no_grad():
            for name, p in self.named_parameters():
                p.copy_(float(name == "norm.weight") + _uniform(p.shape, 0.5, stream))
        self.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.norm(self.hidden(x))))


@cache
def data(dtype: torch.dtype, weighted: bool) -> tuple[Batch, ...]:
    """The batches of an epoch; weighted ones carry importance weights of mean 1."""
    stream = generator("conformance:data", 0)
    x = _uniform((BATCHES, BATCH, INPUTS), 1.75, stream).to(dtype)
    y = torch.randint(CLASSES, (BATCHES, BATCH), generator=stream)
    weights = 0.3 + 1.4 * torch.rand(BATCHES, BATCH, generator=stream, dtype=torch.float64)
    weights = (weights / weights.mean(1, keepdim=True)).to(dtype if dtype == torch.float64 else torch.float32)
    ids = torch.arange(BATCHES * BATCH).view(BATCHES, BATCH)
    return tuple(Batch(x[i], y[i], ids[i], weights[i] if weighted else None) for i in range(BATCHES))


class Probe:
    """A model, its oracle and a variant on top of a base optimizer, at step 0. Equal arguments make equal trials.

    Args:
        info: metadata of the variant under test.
        setting: its hyper-parameters; they may include some of the base optimizer's.
        base: name of the base optimizer, a key of ``BASES``.
        base_hyper: changes to that base's hyper-parameters.
        norm: kind of the normalization layers, ``"batch"`` or ``"layer"``.
        dtype: floating-point type of weights and inputs.
        model: module to train; by default a :class:`Net`.
        oracle: a function of the model that makes the oracle.
        groups: a function of the model that makes what ``create`` is given.
        hook: a loss hook other than the variant's own; its hyper-parameters stand in ``setting``.
        average: a weight average other than the variant's own, likewise.
        total: steps of the whole run, as the oracle tells them.
    """

    def __init__(
        self,
        info: VariantInfo,
        setting: Mapping[str, Value] | None = None,
        *,
        base: str = "momentum",
        base_hyper: Mapping[str, Any] | None = None,
        norm: str = "layer",
        dtype: torch.dtype = torch.float64,
        model: nn.Module | None = None,
        oracle: Callable[[nn.Module], ClassificationOracle] = ClassificationOracle,
        groups: Callable[[nn.Module], Any] = lambda model: model,
        hook: str = "",
        average: str = "",
        total: int = TOTAL,
    ):
        self.info = info
        self.model = (Net(norm, dtype) if model is None else model).train()
        self.batches = data(dtype, info.sampler != "uniform")
        name, hyper = BASES[base]
        own: dict[str, Any] = {**hyper, **(base_hyper or {}), **(setting or {})}
        of_others = {**values_of(HOOKS, hook or "none", own), **values_of(AVERAGES, average or "none", own)}
        of_optimizer = {key: value for key, value in own.items() if key not in of_others}
        self.optimizer: StepRule = create(info.name, groups(self.model), base=name, seed=3, **of_optimizer)
        self.oracle = oracle(self.model)
        self.oracle.total_steps = total
        self.oracle.attach_plugins(
            info,
            own,
            hook=hook or info.hook,
            average=average or info.average,
            ids=torch.arange(BATCHES * BATCH),
            classes=CLASSES,
            steps_per_epoch=BATCHES,
        )
        self.done = 0

    def bind(self) -> ClassificationOracle:
        """Give the oracle the batch of the next step."""
        done = self.done
        self.oracle.bind(
            self.batches[done % BATCHES],
            epoch=done // BATCHES,
            step=done,
            more=lambda number: self.batches[(done + number) % BATCHES],
        )
        return self.oracle

    def step(
        self, count: int = 1, *, through: Callable[[ClassificationOracle], Callable[..., Any]] = lambda oracle: oracle
    ) -> Tensor:
        """Make steps and return the last loss; ``through`` may wrap the closure."""
        loss = torch.zeros(())
        for _ in range(count):
            loss = self.optimizer.step(through(self.bind()))
            self.oracle.finish_step()
            self.done += 1
        return loss

    def tensors(self) -> list[Tensor]:
        """Copies of all weights and buffers."""
        return [t.detach().clone() for t in self.model.state_dict().values()]

    def weights(self) -> Tensor:
        """All weights in one float64 vector, a copy."""
        return torch.cat([p.detach().double().flatten() for p in self.model.parameters()])

    def evaluated(self) -> list[Tensor]:
        """Copies of all weights and buffers that are evaluated: the last ones, or their average."""
        if self.oracle.average is None:
            return self.tensors()
        with self.oracle.average.applied():
            return self.tensors()
