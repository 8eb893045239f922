"""Base optimizers: everything in ``timm.optim``'s registry that can take a plain step."""

import inspect
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import timm.optim
from torch.optim import Optimizer

from ..errors import ConfigError, unknown


def list_bases() -> list[str]:
    """Names that ``base=`` accepts: the optimizers of timm that this machine can build and that need no closure."""
    return [name for name in map(str, timm.optim.list_optimizers()) if not _obstacle(name)]


def _obstacle(name: str) -> str:
    """Say why an optimizer of timm cannot be a base, or nothing if it can."""
    info = timm.optim.get_optimizer_info(name)
    if info.second_order:
        return "it needs second derivatives of the loss, which no variant's closure computes"
    if name.startswith("bnb"):
        return "it needs the package bitsandbytes and a GPU"
    if name.startswith("fused"):
        return "it needs NVIDIA Apex"
    return ""


def _class_of(name: str) -> type[Optimizer]:
    key = name.lower()
    if key not in timm.optim.list_optimizers():
        raise unknown("base optimizer", name, list_bases())
    if why := _obstacle(key):
        raise ConfigError(f"base optimizer {name!r} cannot be used: {why}")
    return timm.optim.get_optimizer_info(key).opt_class  # pyright: ignore[reportReturnType]


@cache
def base_hyper(name: str) -> Mapping[str, Any]:
    """Return the hyper-parameters of a base optimizer with their defaults, timm's presets included.

    One preset is undone: timm turns Nesterov momentum on for ``sgd``; here it is off unless asked for.

    Example:
        >>> base_hyper("sgd")["momentum"], base_hyper("sgd")["nesterov"]
        (0, False)
    """
    signature = inspect.signature(_class_of(name).__init__)
    own = {
        key: parameter.default
        for key, parameter in signature.parameters.items()
        if key not in ("self", "params") and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    presets = dict(timm.optim.get_optimizer_info(name.lower()).defaults or {})
    if name.lower() == "sgd":
        presets.pop("nesterov", None)
    return MappingProxyType({**own, **presets})


def make_base(name: str, groups: list[dict[str, Any]], hyper: dict[str, Any]) -> Optimizer:
    """Build a base optimizer over parameter groups; its own objections come back as :class:`ConfigError`."""
    presets = dict(timm.optim.get_optimizer_info(name.lower()).defaults or {})
    if name.lower() == "sgd":
        presets.pop("nesterov", None)
    try:
        return _class_of(name)(groups, **{**presets, **hyper})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"base optimizer {name!r} refuses {hyper}: {error}") from error
