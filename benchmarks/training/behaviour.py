"""How a variant behaves, in one hash: whether its rule is what it was is told by what it does, not by its text."""

import hashlib
from functools import cache

import torch

from ...results.records.behaviour import Code, code_of
from ...variants import VariantInfo, get_info, list_variants
from ...variants.settings import settings
from .probe import Probe

STEPS = 12
GRID = 1e-5
"""Weights are rounded to multiples of it: far above what processors differ by, far below what a rule moves."""


def behaviour_of(info: VariantInfo) -> str | None:
    """Hash the weights of a short float64 training at fixed inputs, at the defaults and at every switch and choice.

    Args:
        info: metadata of the variant; its loss hook and weight average take part.

    Returns:
        The first 16 hex digits of the sha256 over the rounded weights; ``None`` for a variant that cannot train on
        the small problem (its own requirements on data or network are not met there).
    """
    return _behaviour(info.name, info.source_hash())


def _train(probe: Probe) -> None:
    """Train with a learning rate that falls linearly, as rules may follow it."""
    rates = [group["lr"] for group in probe.optimizer.param_groups]
    for step in range(STEPS):
        for group, rate in zip(probe.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - step / STEPS)
        probe.step()


def code_today(info: VariantInfo) -> Code:
    """Return the code of a variant as it is; its behaviour is measured where it is not known from its source."""
    known = code_of(info.name, info.source_hash())
    return known if known.behaviour else Code(known.source, behaviour_of(info))


def codes_today() -> dict[str, Code]:
    """Return the code of every registered variant, by name."""
    return {info.name: code_today(info) for info in list_variants()}


@cache
def _behaviour(name: str, source: str) -> str | None:
    info = get_info(name)
    digest = hashlib.sha256()
    with torch.random.fork_rng(devices=[]):
        for setting in settings(info):
            try:
                probe = Probe(info, setting, norm="batch", total=STEPS)
                _train(probe)
            except Exception:  # a plug-in may raise anything here, and the run that asks has been made
                return None
            for tensor in [*probe.tensors(), *probe.evaluated()]:
                digest.update(torch.round(tensor.double() / GRID).long().numpy().tobytes())
    return digest.hexdigest()[:16]
