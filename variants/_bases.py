"""Base optimizers: everything in ``timm.optim``'s registry that can take a plain step, and what a caller makes.

timm is imported when it is asked for something: it brings torchvision along, and with it seconds that neither a run
with SGD nor a look at a suite should pay.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from torch.optim import Optimizer

from ..errors import ConfigError, unknown
from ._sgd import SGD
from .info import VariantInfo

Base = str | Callable[..., Optimizer]
"""A name, or a class or function that makes an optimizer of parameter groups (``torch.optim.SGD``, a partial of it)."""


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
    if "torch.compile(" in _source(inspect.getsourcefile(cast(type, info.opt_class)) or ""):
        return "it compiles its step anew for every shape, for minutes or more"
    return ""


@cache
def _source(file: str) -> str:
    return Path(file).read_text(encoding="utf-8") if file else ""


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


def base_hyper(base: Base) -> Mapping[str, Any]:
    """Return the hyper-parameters of a base optimizer with their defaults, timm's presets included.

    Example:
        >>> base_hyper("sgd")["momentum"], base_hyper("sgd")["nesterov"]
        (0, False)
    """
    if isinstance(base, str):
        return _hyper_of(base)
    if not callable(base):
        raise ConfigError(
            f"base is {type(base).__name__!r}, which is not valid: give a name ('sgd'; 'sambench list bases' has all), "
            "or a class or function that makes an optimizer of parameter groups (torch.optim.SGD)"
        )
    return _keywords(base)


def check_apart(info: VariantInfo, base: Base) -> None:
    """Make sure that a variant and its base have no hyper-parameter of one name: a group holds one value of each.

    Raises:
        ConfigError: they do, and the base would step with what the variant was given.
    """
    if info.steps_base and (both := sorted(info.hyper.keys() & base_hyper(base).keys())):
        raise ConfigError(
            f"{info.name!r} cannot have base {name_of(base)!r}: both have a hyper-parameter {both[0]!r}, and a group "
            "of parameters holds one value of a name; take another base ('sambench list bases' has all)"
        )


@cache
def _hyper_of(name: str) -> Mapping[str, Any]:
    cls, presets = _found(name)
    return MappingProxyType({**_keywords(cls), **presets})


def _keywords(make: Callable[..., Optimizer]) -> dict[str, Any]:
    """Return what a class or function takes beside the parameters, which come first, with the defaults."""
    _, *others = inspect.signature(make).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {one.name: one.default for one in others if one.kind not in variable}


def name_of(base: Base) -> str:
    """Return what to call a base optimizer in an error."""
    if isinstance(base, partial):
        base = base.func
    return base if isinstance(base, str) else getattr(base, "__name__", repr(base))


def make_base(base: Base, groups: list[dict[str, Any]], hyper: dict[str, Any]) -> Optimizer:
    """Build a base optimizer over parameter groups; its own objections come back as :class:`ConfigError`."""
    make, presets = _found(base) if isinstance(base, str) else (base, {})
    try:
        made = make(groups, **{**presets, **hyper})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"base optimizer {name_of(base)!r} refuses {hyper}: {error}") from error
    if not isinstance(made, Optimizer):
        raise ConfigError(f"base {name_of(base)!r} makes a {type(made).__name__}, not a torch.optim.Optimizer")
    if inspect.signature(made.step).parameters.get("closure", _OPTIONAL).default is not None:
        raise ConfigError(
            f"base optimizer {name_of(base)!r} cannot be used: it evaluates a closure of its own; take one whose "
            "step() needs none, such as torch.optim.SGD"
        )
    return made


_OPTIONAL = inspect.Parameter("closure", inspect.Parameter.KEYWORD_ONLY, default=None)
