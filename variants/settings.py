"""Which settings of a variant the checks go through: what its metadata names, and nothing else."""

from collections.abc import Mapping
from itertools import product

from ..hyper import Hyper, Value
from .info import VariantInfo

MOST = 12
"""Settings that are checked in full combination; beyond, one departure from the defaults at a time."""
SMALL = 5
"""Integers (periods, inner steps) are brought down to this, so that a short run goes through whole periods."""


def _options(hyper: Hyper) -> list[Value]:
    """The discrete values of a hyper-parameter, the default first."""
    if isinstance(hyper.default, bool):
        return [hyper.default, not hyper.default]
    return list(dict.fromkeys([hyper.default, *hyper.choices]))


def small(info: VariantInfo) -> dict[str, Value]:
    """Return what a short run needs: the variant's own brief setting, and large integers brought down to ``SMALL``."""
    integers = {
        name: SMALL
        for name, hyper in info.hyper.items()
        if isinstance(hyper.default, int) and not isinstance(hyper.default, bool) and hyper.default > SMALL
        if hyper.low is None or hyper.low <= SMALL
    }
    return {**integers, **info.brief}


def settings(info: VariantInfo) -> list[dict[str, Value]]:
    """Return the settings to check: the defaults, and every combination of switches and choices.

    Example:
        >>> from sambench.variants import get_info
        >>> settings(get_info("asam"))
        [{}, {'scale_all': True}]
    """
    discrete = {name: options for name, hyper in info.hyper.items() if len(options := _options(hyper)) > 1}
    grid = [dict(zip(discrete, values, strict=True)) for values in product(*discrete.values())]
    if len(grid) > MOST:
        grid = [{}, *({name: value} for name, options in discrete.items() for value in options[1:])]
    return [{**changed(info, setting), **small(info)} for setting in grid]


def changed(info: VariantInfo, setting: Mapping[str, Value]) -> dict[str, Value]:
    """Return the part of a setting that is not the default anyway."""
    return {key: value for key, value in setting.items() if value != info.hyper[key].default}


def published(info: VariantInfo) -> list[dict[str, Value]]:
    """Return the settings that were published for some data set."""
    found = [{**changed(info, setting), **small(info)} for setting in info.defaults.values()]
    return [setting for i, setting in enumerate(found) if setting not in found[:i]]


def spell(setting: dict[str, Value]) -> str:
    """Write a setting for people: ``rho=0.1 lam=1/t``, or ``defaults``."""
    return " ".join(f"{key}={value}" for key, value in setting.items()) or "defaults"
