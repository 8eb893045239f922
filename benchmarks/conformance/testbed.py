"""The probe of a variant under its base optimizer alone, and the comparisons that the checks make."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError
from ...hyper import Value
from ...variants import VariantInfo
from ...variants._bases import make_base
from ..training.classification import ClassificationOracle
from ..training.probe import BASES, BATCHES, Net, Probe, data
from .check import NotApplicable


class BaseRun:
    """The same problem under a base optimizer alone, without any step rule."""

    def __init__(self, info: VariantInfo, *, base: str, norm: str, dtype: torch.dtype):
        self.model = Net(norm, dtype).train()
        self.batches = data(dtype, info.sampler != "uniform")
        name, hyper = BASES[base]
        self.optimizer = make_base(name, [{"params": list(self.model.parameters())}], dict(hyper))
        self.oracle = ClassificationOracle(self.model)
        self.done = 0

    def step(self) -> Tensor:
        self.oracle.bind(self.batches[self.done % BATCHES], epoch=self.done // BATCHES, step=self.done)
        loss = self.oracle()
        self.optimizer.step()
        self.done += 1
        return loss

    def tensors(self) -> list[Tensor]:
        return [t.detach().clone() for t in self.model.state_dict().values()]


class Wrapped:
    """An oracle that stands in for another one, and answers by it what it does not answer itself."""

    def __init__(self, oracle: ClassificationOracle):
        self.oracle = oracle

    def __getattr__(self, name: str) -> Any:
        return getattr(self.oracle, name)


def same_bits(one: Tensor, two: Tensor) -> bool:
    """Tell whether two tensors agree in type, shape and every bit."""
    if one.dtype != two.dtype or one.shape != two.shape:
        return False
    return torch.equal(*(t.detach().contiguous().flatten().view(torch.uint8) for t in (one, two)))


def all_same_bits(one: list[Tensor], two: list[Tensor]) -> bool:
    """Tell whether two lists of tensors agree in every bit."""
    return len(one) == len(two) and all(same_bits(a, b) for a, b in zip(one, two, strict=True))


def distance(one: Tensor, two: Tensor) -> float:
    """Return the largest difference of an entry, in units of max(1, largest entry)."""
    return float((one - two).abs().max() / two.abs().max().clamp(min=1.0))


def usable_bases(info: VariantInfo, setting: Mapping[str, Value], bases: Iterable[str] = BASES) -> list[str]:
    """Return the bases that a variant accepts.

    Raises:
        NotApplicable: it refuses all of them.
    """
    refused: dict[str, str] = {}
    for base in bases:
        try:
            Probe(info, setting, base=base)
        except ConfigError as error:
            refused[base] = str(error)
    if usable := [base for base in bases if base not in refused]:
        return usable
    raise NotApplicable(f"it refuses every base of {', '.join(refused)}: {next(iter(refused.values()))}")
