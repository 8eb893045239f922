"""Check 4: a run that is saved, thrown away and loaded goes on with the same bits."""

import io
from typing import Any

import torch
from torch import Tensor

from ....variants import VariantInfo
from ....variants.settings import settings, small, spell
from ...training.classification import ClassificationOracle
from ...training.probe import BASES, Probe
from ..check import Failed, check
from ..testbed import Wrapped, all_same_bits, usable_bases
from .weights_restored import differs, state_of

BEFORE, AFTER = 5, 4


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """Save a state and load it the way checkpoints are loaded, without unpickling code."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


class Scrambling(Wrapped):
    """An oracle that leaves the global generator in another state each time: a rule that draws from it is found out."""

    def __init__(self, oracle: ClassificationOracle, salt: int):
        super().__init__(oracle)
        self.salt = salt

    def __call__(self, **request: Any) -> Tensor:
        loss = self.oracle(**request)
        torch.default_generator.manual_seed(self.salt)
        return loss


def _resumes(info: VariantInfo, setting: dict[str, Any], base: str) -> None:
    half = Probe(info, setting, base=base, norm="batch", dtype=torch.float32)
    half.step(BEFORE, through=lambda oracle: Scrambling(oracle, 1))
    state = {"model": half.model, "optimizer": half.optimizer, "oracle": half.oracle}
    saved = through_a_file({name: one.state_dict() for name, one in state.items()})
    fresh = Probe(info, setting, base=base, norm="batch", dtype=torch.float32)
    fresh.model.load_state_dict(saved["model"])
    fresh.optimizer.load_state_dict(saved["optimizer"])
    fresh.oracle.load_state_dict(saved["oracle"])
    fresh.done = BEFORE
    where = f"at {spell(setting)} on {base}"
    if found := differs(state_of(fresh.optimizer), state_of(half.optimizer)):
        raise Failed(f"{where}, the loaded state is not the saved one: {found}")
    for t in range(BEFORE, BEFORE + AFTER):
        fresh.step(through=lambda oracle: Scrambling(oracle, 2))
        half.step(through=lambda oracle: Scrambling(oracle, 1))
        if not all_same_bits(fresh.tensors() + fresh.evaluated(), half.tensors() + half.evaluated()):
            raise Failed(f"{where}, step {t} after loading differs from that of the run which went on")


@check(4, "resume", "saving and loading in mid-run resumes bit for bit, on every base optimizer of a matrix")
def resumes_exactly(info: VariantInfo) -> str:
    bases = usable_bases(info, small(info))
    for base in bases:
        _resumes(info, small(info), base)
    others = [setting for setting in settings(info) if setting != small(info)]
    for setting in others:
        _resumes(info, setting, bases[0])
    refused = [base for base in BASES if base not in bases]
    return f"on {', '.join(bases)}" + (f"; it refuses {', '.join(refused)}" if refused else "")
