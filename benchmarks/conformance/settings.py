"""Which settings of a variant the checks go through: what its metadata names, and nothing else."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from ...hyper import Hyper, Value
from ...variants import VariantInfo

MOST = 12


def _options(hyper: Hyper) -> list[Value]:
    """The discrete values of a hyper-parameter, the default first."""
    if isinstance(hyper.default, bool):
        return [hyper.default, not hyper.default]
    return list(dict.fromkeys([hyper.default, *hyper.choices]))


def settings(info: VariantInfo) -> list[dict[str, Value]]:
    """Return the settings to check: every combination of switches and choices, and every published setting.

    A variant with more than ``MOST`` combinations is checked with one departure from the defaults at a time.

    Example:
        >>> from sambench.variants import get_info
        >>> settings(get_info("asam"))
        [{}, {'scale_all': True}, {'rho': 0.5}, {'rho': 1.0}]
    """
    discrete = {name: options for name, hyper in info.hyper.items() if len(options := _options(hyper)) > 1}
    grid = [dict(zip(discrete, values, strict=True)) for values in product(*discrete.values())]
    if len(grid) > MOST:
        grid = [{}, *({name: value} for name, options in discrete.items() for value in options[1:])]
    found: list[dict[str, Value]] = []
    for setting in [*grid, *map(dict, info.defaults.values())]:
        short = {key: value for key, value in setting.items() if key not in discrete or value != discrete[key][0]}
        if short not in found:
            found.append(short)
    return found


def spell(setting: Mapping[str, Any]) -> str:
    """Write a setting for people: ``rho=0.1 lam=1/t``, or ``defaults``."""
    return " ".join(f"{key}={value}" for key, value in setting.items()) or "defaults"
