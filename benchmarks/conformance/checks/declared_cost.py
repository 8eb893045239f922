"""Check 5: what a variant declares to cost is what the oracle counts, over a whole run."""

import math

from scipy.stats import binom

from ....hyper import Value, resolve
from ....variants import VariantInfo
from ....variants.settings import settings, spell
from ...training.probe import BATCH, TOTAL, Probe
from ..check import Failed, check

CONFIDENCE = 1 - 1e-6
"""Of the interval that a random count must fall into: one false alarm in a million."""


def count(info: VariantInfo, setting: dict[str, Value]) -> tuple[list[float], list[float]]:
    """Return the gradient and the forward-only evaluations of every step of a whole run."""
    trial = Probe(info, setting)
    gradients, forwards = [], []
    for _ in range(TOTAL):
        counted = trial.oracle.counters
        before = counted.gradient_evaluations, counted.forward_evaluations
        trial.step()
        gradients.append(counted.gradient_evaluations - before[0])
        forwards.append(counted.forward_evaluations - before[1])
    return gradients, forwards


def interval(declared: float, low: float, high: float, steps: int) -> tuple[float, float]:
    """Return the exact interval for the mean of independent steps that cost ``low`` or ``high``, with that mean.

    The number of dear steps is binomial with p = (declared - low) / (high - low).

    Example:
        >>> interval(1.5, 1.0, 2.0, 10)
        (1.0, 2.0)
    """
    share = (declared - low) / (high - low)
    least, most = binom.interval(CONFIDENCE, steps, share)
    return float(low + (high - low) * least / steps), float(low + (high - low) * most / steps)


def disagreement(info: VariantInfo, declared: float, seen: list[float]) -> str:
    """Say how a count departs from what was declared, or nothing."""
    mean = sum(seen) / len(seen)
    grain = 1 / BATCH if "subset" in info.needs else 1e-9  # a share of a batch is a whole number of samples
    if info.cost == "fixed" or declared == int(declared):
        if abs(mean - declared) > grain:
            return f"declares {declared:g} per step and costs {mean:g} over {len(seen)} steps"
        return ""
    low, high = float(math.floor(declared)), float(math.ceil(declared))
    if min(seen) < low - grain or max(seen) > high + grain:
        return f"declares {declared:g}, and a step costs between {min(seen):g} and {max(seen):g}"
    if info.cost == "random":
        least, most = interval(declared, low, high, len(seen))
        if not least - grain <= mean <= most + grain:
            return f"declares {declared:g} on average and costs {mean:g}, outside [{least:g}, {most:g}]"
    return ""


@check(5, "cost", "declared cost equals counted cost over a whole run")
def costs_what_it_declares(info: VariantInfo) -> str:
    told = {}
    for setting in settings(info):
        hyper = resolve(repr(info.name), info.hyper, setting)
        gradients, forwards = count(info, setting)
        pairs = (
            ("gradient evaluations", info.declared_gradients(hyper), gradients),
            ("forward evaluations", info.declared_forwards(hyper), forwards),
        )
        for kind, declared, seen in pairs:
            if wrong := disagreement(info, declared, seen):
                raise Failed(f"at {spell(setting)}, {kind}: {wrong}")
        told[f"{pairs[0][1]:g}" + (f" + {pairs[1][1]:g} forward" if pairs[1][1] else "")] = None
    how = "" if info.cost == "fixed" else f" ({info.cost})"
    return f"{' or '.join(told)} per step{how}, at {len(settings(info))} settings over {TOTAL} steps"
