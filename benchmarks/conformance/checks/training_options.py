"""Check 9: accumulation, clipping, mixed precision, a compiled model: each equal to the plain run where it must be."""

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from ....variants import VariantInfo
from ....variants.settings import small
from ...precision import GradientOverflow
from ...training.classification import ClassificationOracle
from ...training.probe import Net, Probe
from ..check import Failed, NotApplicable, check
from ..testbed import Wrapped, all_same_bits, distance, usable_bases
from .weights_restored import differs, state_of

STEPS = 6
TOLERANCE = 1e-10
MICRO_BATCHES = 3
CLIPPED = 1e-5
"""Relative error of ``clip_grad_norm_``, which adds 1e-6 to the norm that it divides by."""
SCALE = 2.0**10
"""Loss scale at which nothing overflows that is not made to."""
LIKENESS = 0.9
"""Least cosine between the way of a half-precision run and that of the plain one."""


@check(9, "accumulate", "gradients accumulated over micro-batches make the steps of the whole batch")
def accumulates(info: VariantInfo) -> str:
    whole = Probe(info, small(info))
    parts = Probe(info, small(info), oracle=lambda model: ClassificationOracle(model, accumulate=MICRO_BATCHES))
    worst = 0.0
    for t in range(STEPS):
        losses = whole.step(), parts.step()
        worst = max(worst, distance(parts.weights(), whole.weights()), distance(losses[1], losses[0]))
        if not worst <= TOLERANCE:
            raise Failed(f"step {t}, a weight or the loss differs from that of the whole batch by {worst:.2g}")
    return f"{MICRO_BATCHES} micro-batches, {STEPS} steps, largest difference {worst:.1g}"


@check(9, "clip", "clipping shortens the final gradient and changes nothing before it")
def is_clipped(info: VariantInfo) -> str:
    base = usable_bases(info, small(info), ("stateless", "momentum"))[0]
    plain, wide, half = (Probe(info, small(info), base=base) for _ in range(3))
    start = plain.weights()
    norms = _final_norms(plain, math.inf)
    if bool(norms) != info.steps_base:
        raise Failed(f"declares steps_base={info.steps_base} and steps its base {len(norms)} times in a step")
    if not norms:
        raise NotApplicable("it never steps its base, so that clipping the base's gradient does not reach it")
    if _final_norms(wide, 1e9) != norms or not all_same_bits(plain.tensors(), wide.tensors()):
        raise Failed("a bound that is never reached changes the step")
    shortened = _final_norms(half, norms[0] / 2)
    if shortened[0] != norms[0]:
        raise Failed(f"clipping changes the gradient before it is clipped: norm {shortened[0]:.9g}, not {norms[0]:.9g}")
    way, clipped = plain.weights() - start, half.weights() - start
    if distance(clipped * 2, way) <= CLIPPED * float(way.abs().max()):
        return "a gradient clipped to half its norm makes half the step"
    if not torch.isfinite(clipped).all() or not clipped.norm() < way.norm():
        raise Failed("a gradient clipped to half its norm does not make a shorter step")
    return (
        f"a clipped gradient makes a shorter step; the base steps {len(norms)} times and the variant moves weights too"
    )


def _final_norms(trial: Probe, bound: float) -> list[float]:
    """Make one step whose final gradients are clipped, and return their norms before that, one for each base step."""
    params, norms = list(trial.model.parameters()), []
    trial.optimizer.base.register_step_pre_hook(
        lambda *_: norms.append(float(torch.nn.utils.clip_grad_norm_(params, bound)))
    )
    trial.step()
    return norms


def _like(info: VariantInfo, precision: str) -> str:
    plain = Probe(info, small(info), dtype=torch.float32)
    mixed = Probe(
        info, small(info), dtype=torch.float32, oracle=lambda model: ClassificationOracle(model, precision=precision)
    )
    mixed.oracle.scale.scale = SCALE if precision == "fp16" else 1.0
    start = plain.weights()
    plain.step(STEPS)
    mixed.step(STEPS)
    ways = plain.weights() - start, mixed.weights() - start
    cosine = float(torch.nn.functional.cosine_similarity(*ways, dim=0))
    length = float(ways[1].norm() / ways[0].norm())
    if not cosine >= LIKENESS or not abs(length - 1.0) <= 1.0 - LIKENESS:
        raise Failed(f"{precision} goes another way than float32: cosine {cosine:.3f}, ratio of lengths {length:.3f}")
    if any(p.dtype != torch.float32 for p in mixed.model.parameters()):
        raise Failed(f"{precision}: a parameter is no longer float32")
    return f"cosine with float32 after {STEPS} steps {cosine:.5f}"


@check(9, "bf16", "bfloat16 autocast goes the way of float32")
def works_in_bf16(info: VariantInfo) -> str:
    return _like(info, "bf16")


class Overflowing(Wrapped):
    """An oracle whose loss scale is far too large in one of its passes."""

    def __init__(self, oracle: ClassificationOracle, at: int):
        super().__init__(oracle)
        self.at, self.passes = at, 0

    def __call__(self, **request: Any) -> Tensor:
        self.passes += 1
        usual, scale = self.oracle.scale.scale, self.oracle.scale
        scale.scale = 2.0**200 if self.passes == self.at else usual
        try:
            return self.oracle(**request)
        finally:
            scale.scale = usual


@check(9, "fp16", "float16 with loss scaling goes the way of float32, and an overflow in any pass skips the whole step")
def works_in_fp16(info: VariantInfo) -> str:
    likeness = _like(info, "fp16")
    trial = Probe(
        info, small(info), dtype=torch.float32, oracle=lambda model: ClassificationOracle(model, precision="fp16")
    )
    trial.oracle.scale.scale = SCALE
    trial.step(2)
    weights, state, passes = trial.tensors(), state_of(trial.optimizer), 0
    while True:
        try:
            trial.optimizer.step(Overflowing(trial.bind(), passes + 1))
        except GradientOverflow:
            passes += 1
        else:
            break
        if not all_same_bits(trial.tensors(), weights):
            raise Failed(f"an overflow in pass {passes} leaves other weights")
        if found := differs(state_of(trial.optimizer), state):
            raise Failed(f"an overflow in pass {passes} leaves another state: {found}")
    return f"{likeness}; an overflow in each of {passes} passes skips the step"


@cache
def compiled() -> nn.Module:
    """One compiled network for all variants: compiling costs seconds, running it nothing."""
    return torch.compile(Net("batch", torch.float64), backend="aot_eager")  # pyright: ignore[reportReturnType]


@check(9, "compile", "a compiled model makes the steps of the plain one, BatchNorm buffers included")
def works_compiled(info: VariantInfo) -> str:
    model, plain = compiled(), Probe(info, small(info), norm="batch")
    with torch.no_grad():
        for ours, start in zip(model.state_dict().values(), plain.tensors(), strict=True):
            ours.copy_(start)
    model.zero_grad()
    trial = Probe(info, small(info), model=model)
    worst = 0.0
    for t in range(STEPS):
        trial.step()
        plain.step()
        pairs = zip(trial.tensors(), plain.tensors(), strict=True)
        worst = max([worst, *(distance(a.double(), b.double()) for a, b in pairs)])
        if not worst <= TOLERANCE:
            raise Failed(f"step {t}, a weight or buffer differs from that of the plain model by {worst:.2g}")
    return f"{STEPS} steps, largest difference {worst:.1g}"
