"""Checks 1 and 2: settings at which a variant is its base optimizer, or another variant."""

from typing import Any

import torch

from ....variants import VariantInfo, get_info
from ....variants.settings import small, spell
from ...training.probe import Probe
from ..check import Failed, NotApplicable, check
from ..testbed import BaseRun, all_same_bits, distance, usable_bases

STEPS = 8
TOLERANCE = 1e-12


@check(1, "neutral", "at its neutral setting it is its base optimizer to the bit, BatchNorm buffers included")
def equals_its_base(info: VariantInfo) -> str:
    if info.neutral is None:
        raise NotApplicable(f"declares no neutral setting{': ' + info.notes if info.notes else ''}")
    setting = {**small(info), **info.neutral}
    bases = usable_bases(info, setting, ("momentum", "adamw"))
    for base in bases:
        kind: dict[str, Any] = {"base": base, "norm": "batch", "dtype": torch.float32}
        trial, reference = Probe(info, setting, **kind), BaseRun(info, **kind)
        for t in range(STEPS):
            losses = trial.step(), reference.step()
            if not all_same_bits(trial.evaluated(), reference.tensors()):
                raise Failed(
                    f"at {spell(setting)} on {base}, step {t}, weights or buffers are not the base optimizer's"
                )
            if float(losses[0]) != float(losses[1]):
                raise Failed(
                    f"at {spell(setting)} on {base}, step {t}, the loss is {losses[0]:.9g}, not {losses[1]:.9g}"
                )
    return f"{spell(setting)} is {' and '.join(bases)} to the bit over {STEPS} steps, with BatchNorm"


@check(2, "identity", f"at every declared identity it is the other variant, in float64 to {TOLERANCE:g}")
def equals_the_others(info: VariantInfo) -> str:
    if not info.identities:
        raise NotApplicable("declares no identity with another variant")
    worst = 0.0
    for identity in info.identities:
        other_info = get_info(identity.equals)
        of_base = {key: value for key, value in identity.hyper.items() if key not in info.hyper}
        claim = f"{spell(dict(identity.hyper))} = {identity.equals} {spell(dict(identity.other))}"
        for norm in ("batch", "layer"):
            one = Probe(info, {**small(info), **identity.hyper}, norm=norm)
            two = Probe(other_info, {**of_base, **identity.other}, norm=norm)
            for t in range(STEPS):
                one.step()
                two.step()
                difference = max(distance(a, b) for a, b in zip(one.evaluated(), two.evaluated(), strict=True))
                if not difference <= TOLERANCE:
                    raise Failed(f"{claim} does not hold: step {t}, {norm} norm, a weight differs by {difference:.2g}")
                worst = max(worst, difference)
    claims = "; ".join(f"{spell(dict(i.hyper))} = {i.equals}" for i in info.identities)
    return f"{claims}: largest difference {worst:.1g} over {STEPS} steps"
