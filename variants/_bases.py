"""Base optimizers: everything in ``timm.optim``'s registry that can take a plain step.

timm is imported when it is asked for something: it brings torchvision along, and with it seconds that neither a run
with SGD nor a look at a suite should pay.
"""

import inspect
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, cast

from torch.optim import SGD, Optimizer

from ..errors import ConfigError, unknown


def list_bases() -> list[str]:
    """Names that ``base=`` accepts: the optimizers of timm that this machine can build and that need no closure."""
    import timm.optim

    return [name for name in map(str, timm.optim.list_optimizers()) if not _obstacle(name)]


def _obstacle(name: str) -> str:
    """Say why an optimizer of timm cannot be a base, or nothing if it can."""
    import timm.optim

    info = timm.optim.get_optimizer_info(name)
    if info.second_order:
        return "it needs second derivatives of the loss, which no variant's closure computes"
    if name.startswith("bnb"):
        return "it needs the package bitsandbytes and a GPU"
    if name.startswith("fused"):
        return "it needs NVIDIA Apex"
    return ""


@cache
def _found(name: str) -> tuple[type[Optimizer], dict[str, Any]]:
    """Return the class of a base optimizer and the presets that timm builds it with.

    One entry is not timm's: its ``sgd`` is torch's with Nesterov momentum on; here it is off unless asked for.
    """
    key = name.lower()
    if key == "sgd":
        return SGD, {}
    import timm.optim

    if key not in timm.optim.list_optimizers():
        raise unknown("base optimizer", name, list_bases())
    if why := _obstacle(key):
        raise ConfigError(f"base optimizer {name!r} cannot be used: {why}")
    info = timm.optim.get_optimizer_info(key)
    return cast(type[Optimizer], info.opt_class), dict(info.defaults or {})


@cache
def base_hyper(name: str) -> Mapping[str, Any]:
    """Return the hyper-parameters of a base optimizer with their defaults, timm's presets included.

    Example:
        >>> base_hyper("sgd")["momentum"], base_hyper("sgd")["nesterov"]
        (0, False)
    """
    cls, presets = _found(name)
    signature = inspect.signature(cls.__init__)
    own = {
        key: parameter.default
        for key, parameter in signature.parameters.items()
        if key not in ("self", "params") and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    return MappingProxyType({**own, **presets})


def make_base(name: str, groups: list[dict[str, Any]], hyper: dict[str, Any]) -> Optimizer:
    """Build a base optimizer over parameter groups; its own objections come back as :class:`ConfigError`."""
    cls, presets = _found(name)
    try:
        return cls(groups, **{**presets, **hyper})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"base optimizer {name!r} refuses {hyper}: {error}") from error
