"""Check 6: gradients that are zero or missing, odd parameters, several groups, and what has to be refused."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ....errors import ConfigError
from ....hyper import Value
from ....variants import VariantInfo, create
from ....variants.settings import small
from ...training.classification import ClassificationOracle
from ...training.probe import CLASSES, HIDDEN, INPUTS, Net, Probe
from ..check import Failed, check
from ..testbed import all_same_bits, same_bits

STEPS, LONG = 6, 40


class Odd(Net):
    """The network with a 0-d parameter, one that no output depends on, and a frozen one."""

    def __init__(self, scale_dtype: torch.dtype = torch.float64):
        super().__init__("layer", torch.float64)
        self.scale = nn.Parameter(torch.tensor(1.5, dtype=scale_dtype))
        self.unused = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.frozen = nn.Parameter(torch.full((CLASSES,), 0.5, dtype=torch.float64), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale + self.frozen


class Lookup(nn.Module):
    """A network on an embedding whose gradient is sparse."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(2, HIDDEN, sparse=True)
        self.norm = nn.LayerNorm(HIDDEN)
        self.out = nn.Linear(HIDDEN, CLASSES)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.embedding((x[:, 0] > 0).long())))


class Flat(ClassificationOracle):
    """An oracle of a loss that is zero everywhere."""

    def _mean_loss(self, outputs: Tensor, batch: Any) -> Tensor:
        return super()._mean_loss(outputs, batch) * 0.0


class Silent(ClassificationOracle):
    """An oracle that leaves no gradient at all, as a loss that is a constant."""

    differentiates = False

    def __call__(self, **request: Any) -> Tensor:
        loss = super().__call__(**request)
        self.model.zero_grad(set_to_none=True)
        return loss


def _finite(trial: Probe, loss: Tensor, what: str) -> None:
    own = [t for tensors in trial.optimizer.own.values() for t in tensors.values()]
    scalars = [float(value) for value in trial.optimizer.scalars.values() if not isinstance(value, str | list | dict)]
    whole = all(bool(torch.isfinite(t).all()) for t in [*trial.tensors(), *own, loss])
    if not whole or not all(map(math.isfinite, scalars)):
        raise Failed(f"{what}: weights, state or loss are no longer finite")


def zero_gradient(info: VariantInfo) -> None:
    trial = Probe(info, small(info), oracle=Flat)
    _finite(trial, trial.step(STEPS), "zero gradient")


def no_gradient(info: VariantInfo) -> None:
    trial = Probe(info, small(info), oracle=Silent)
    before = trial.tensors()
    _finite(trial, trial.step(STEPS), "no gradient at all")
    if not all_same_bits(trial.tensors(), before):
        raise Failed("no gradient at all: the weights move")


def odd_parameters(info: VariantInfo) -> None:
    model = Odd()
    scale, unused, frozen = (p.detach().clone() for p in (model.scale, model.unused, model.frozen))
    trial = Probe(info, small(info), model=model)
    _finite(trial, trial.step(STEPS), "odd parameters")
    if not same_bits(model.unused, unused):
        raise Failed("a parameter without gradient moves")
    if not same_bits(model.frozen, frozen):
        raise Failed("a frozen parameter moves")
    if same_bits(model.scale, scale):
        raise Failed("a 0-d parameter does not move")


def mixed_dtypes(info: VariantInfo) -> None:
    model = Odd(scale_dtype=torch.float32)
    trial = Probe(info, small(info), model=model)
    _finite(trial, trial.step(STEPS), "mixed dtypes")
    if model.scale.dtype != torch.float32 or any(p.dtype != torch.float64 for p in (model.unused, model.frozen)):
        raise Failed("mixed dtypes: a parameter changes its type")


def _two_groups(info: VariantInfo, second: Mapping[str, Value]) -> Probe:
    """A trial whose second half of parameters is a group with values of its own."""

    def halves(model: nn.Module) -> list[dict[str, Any]]:
        named = list(model.named_parameters())
        return [{"params": named[:3]}, {"params": named[3:], **second}]

    if "modules" not in info.needs:
        return Probe(info, small(info), groups=halves, total=STEPS)
    trial = Probe(info, small(info), total=STEPS)  # it must be given the module: the group is split off afterwards
    first = trial.optimizer.param_groups[0]
    rest, first["params"] = first["params"][3:], first["params"][:3]
    trial.optimizer.add_param_group({"params": rest, **second})
    return trial


def several_groups(info: VariantInfo) -> None:
    whole, equal = Probe(info, small(info), total=STEPS), _two_groups(info, {})
    whole.step(STEPS)
    equal.step(STEPS)
    if not all_same_bits(whole.tensors(), equal.tensors()):
        raise Failed("two groups with the same values make other steps than one group")
    frozen = _two_groups(info, {})
    for p in frozen.optimizer.param_groups[1]["params"]:
        p.requires_grad_(False)
    _finite(frozen, frozen.step(STEPS), "a group that is frozen as a whole")
    if "rho" not in info.hyper:
        return
    other = _two_groups(info, {"rho": 2.0 * float(info.hyper["rho"].default)})
    other.step(STEPS)
    if torch.equal(other.weights(), equal.weights()):
        raise Failed("a group's own rho has no effect")


def scheduled_rho(info: VariantInfo) -> None:
    if "rho" not in info.hyper:
        return
    twice = 2.0 * float(info.hyper["rho"].default)

    def change(trial: Probe) -> Probe:
        for group in trial.optimizer.param_groups:
            group["rho"] = twice
        return trial

    made, changed = Probe(info, {**small(info), "rho": twice}), change(Probe(info, small(info)))
    late, never = (Probe(info, small(info), total=LONG) for _ in range(2))
    for trial in (made, changed, late, never):
        trial.step(STEPS)
    if not all_same_bits(made.tensors(), changed.tensors()):
        raise Failed("a rho that is set in the groups makes other steps than one that is given at the start")
    change(late)
    for _ in range(LONG - STEPS):  # to the end: some rules perturb in few steps, or in the last ones alone
        late.step()
        never.step()
        if not torch.equal(late.weights(), never.weights()):
            return
    raise Failed("a rho that is set in the groups after some steps has no effect")


def refusals(info: VariantInfo) -> None:
    def refused(what: str, attempt: Callable[[], Any], says: str) -> None:
        try:
            attempt()
        except ConfigError as error:
            if says in str(error):
                return
            raise Failed(f"{what} is refused by a message that does not say {says!r}: {error}") from error
        raise Failed(f"{what} is not refused")

    def with_parameter(p: Tensor) -> nn.Module:
        model = Net("layer", torch.float64)
        model.register_parameter("odd", nn.Parameter(p))
        return model

    def new(model: nn.Module) -> None:
        create(info.name, model, base="sgd", lr=0.1, momentum=0.9, **dict[str, Any](small(info)))

    refused("an empty model", lambda: new(nn.Tanh()), "nothing to optimize")
    refused("a complex parameter", lambda: new(with_parameter(torch.ones(2, dtype=torch.complex64))), "complex")
    sparse = torch.eye(INPUTS, dtype=torch.float64).to_sparse()
    refused("a sparse parameter", lambda: new(with_parameter(sparse)), "sparse")
    refused("a sparse gradient", lambda: Probe(info, small(info), model=Lookup()).step(), "sparse gradient")


EDGES = {
    "zero gradient": zero_gradient,
    "no gradient": no_gradient,
    "missing, frozen and 0-d parameters": odd_parameters,
    "mixed dtypes": mixed_dtypes,
    "groups with their own rho": several_groups,
    "a rho that changes between steps": scheduled_rho,
    "complex, sparse and empty refused": refusals,
}


@check(
    6, "edges", "zero, missing and frozen gradients, groups, 0-d parameters work; complex, sparse and empty are refused"
)
def survives_the_edges(info: VariantInfo) -> str:
    for edge in EDGES.values():
        edge(info)
    return "; ".join(EDGES)
