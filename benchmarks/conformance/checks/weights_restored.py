"""Check 3: weights come back bit for bit from every perturbation, whatever happens in it."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ....variants import StepRule, VariantInfo
from ....variants.settings import settings, small, spell
from ...training.classification import ClassificationOracle
from ...training.probe import Probe
from ..check import Failed, check
from ..testbed import Wrapped, all_same_bits, distance, same_bits

WARM_UP = 5
"""One epoch and a step."""
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class Interruption(Exception):
    """Raised by a closure in the middle of a step."""


class Watched(Wrapped):
    """An oracle that notes the weights at every evaluation and can raise after one of them."""

    def __init__(self, oracle: ClassificationOracle, params: Sequence[Tensor], raise_at: int = 0):
        super().__init__(oracle)
        self.params, self.raise_at = params, raise_at
        self.calls = 0
        self.start = [p.detach().clone() for p in params]
        self.unperturbed: list[float] = []
        """Losses of the evaluations of the whole batch at the weights where the step began."""

    def __call__(self, **request: Any) -> Tensor:
        here = all_same_bits(self.start, [p.detach() for p in self.params])
        loss = self.oracle(**request)
        if here and not request:
            self.unperturbed.append(float(loss))
        self._count()
        return loss

    def losses(self) -> Tensor:
        losses = self.oracle.losses()
        self._count()
        return losses

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.raise_at:
            raise Interruption


def state_of(optimizer: StepRule) -> dict[str, Any]:
    """A copy of everything that a checkpoint would keep of an optimizer."""
    return copy.deepcopy(optimizer.state_dict())


def differs(one: Any, two: Any) -> str:
    """Return the path of the first difference of two nested states, or nothing."""
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return "" if same_bits(one, two) else " "
    if isinstance(one, dict) and isinstance(two, dict):
        if one.keys() != two.keys():
            return f" keys {sorted(map(str, one.keys() ^ two.keys()))}"
        return next((f"{key}/{found}" for key in one if (found := differs(one[key], two[key]))), "")
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        if len(one) != len(two):
            return " length"
        pairs = enumerate(zip(one, two, strict=True))
        return next((f"{i}/{found}" for i, pair in pairs if (found := differs(*pair))), "")
    return "" if type(one) is type(two) and one == two else f" {one!r} and {two!r}"


def _interrupted(info: VariantInfo, setting: dict[str, Any], dtype: torch.dtype) -> int:
    """Interrupt one step at every evaluation in turn; return how many there were."""
    trial, twin = (Probe(info, setting, dtype=dtype) for _ in range(2))
    params = list(trial.model.parameters())
    trial.step(WARM_UP)
    twin.step(WARM_UP)
    weights, state, storages = trial.tensors(), state_of(trial.optimizer), [p.data_ptr() for p in params]
    where = f"at {spell(setting)} in {str(dtype).removeprefix('torch.')}"
    calls = 0
    while True:
        watched = Watched(trial.bind(), params, raise_at=calls + 1)
        try:
            trial.optimizer.step(watched)
        except Interruption:
            calls += 1
        else:
            break
        if not all_same_bits(trial.tensors(), weights):
            raise Failed(f"{where}, when the closure raises in call {calls} the weights do not come back")
        if found := differs(state_of(trial.optimizer), state):
            raise Failed(f"{where}, when the closure raises in call {calls} the state has changed: {found}")
    twin.step()
    if not all_same_bits(trial.tensors(), twin.tensors()):
        raise Failed(f"{where}, a step after interrupted ones is not the step that an uninterrupted run makes")
    if [p.data_ptr() for p in params] != storages:
        raise Failed(f"{where}, a parameter has other storage after the step")
    return calls


def _returned(info: VariantInfo, setting: dict[str, Any], dtype: torch.dtype) -> None:
    """Follow some steps: the base steps from the weights where the step began, and the loss is theirs."""
    trial = Probe(info, setting, dtype=dtype)
    params = list(trial.model.parameters())
    where = f"at {spell(setting)} in {str(dtype).removeprefix('torch.')}"
    seen: list[list[Tensor]] = []
    trial.optimizer.base.register_step_pre_hook(lambda *_: seen.append([p.detach().clone() for p in params]))
    for _ in range(WARM_UP):
        watched = Watched(trial.bind(), params)
        loss = trial.step(through=lambda oracle, watched=watched: watched)
        if seen and not all_same_bits(seen[0], watched.start):
            raise Failed(f"{where}, the base optimizer steps from other weights than those where the step began")
        seen.clear()
        mean = sum(watched.unperturbed) / max(1, len(watched.unperturbed))
        if watched.unperturbed and distance(loss.double().cpu(), torch.tensor(mean).double()) > 1e-6:
            raise Failed(
                f"{where}, step() returns {float(loss):.6g}; the loss at the unperturbed weights is {mean:.6g}"
            )


@check(3, "restore", "weights are restored bit for bit in float32, bfloat16 and float16, also when the closure raises")
def restores_weights(info: VariantInfo) -> str:
    for dtype in DTYPES:
        _returned(info, small(info), dtype)
    others = [setting for setting in settings(info) if setting != small(info)]
    calls = [_interrupted(info, small(info), dtype) for dtype in DTYPES]
    calls += [_interrupted(info, setting, torch.float32) for setting in others]
    return f"{sum(calls)} interruptions at {len(calls)} settings and precisions; weights, state and storage as before"
