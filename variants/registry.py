"""The registry: variants find themselves, by file, by entry point or by ``--plugin``."""

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from ..errors import ConfigError, unknown
from ..hyper import Hyper, resolve
from .bases import base_hyper, make_base
from .contract import StepRule
from .info import VariantInfo
from .parameters import check_owners, read_parameters

ENTRY_POINTS = "sambench.variants"
__all__ = [
    "Hyper",
    "create",
    "get_declared",
    "get_info",
    "list_variants",
    "load_plugin",
    "published_results",
    "register",
]

_CORE = {"bases", "contract", "info", "parameters", "published", "registry"}
_registry: dict[str, VariantInfo] = {}

Rule = TypeVar("Rule", bound=type[StepRule])


def register(name: str, **metadata: Any) -> Callable[[Rule], Rule]:
    """Register a step rule under a name, with its metadata (the fields of :class:`VariantInfo`).

    Raises:
        ConfigError: the name is taken by another class; the message names both files.
    """

    def add(cls: Rule) -> Rule:
        info = VariantInfo(name=name, cls=cls, **metadata)
        if name in _registry:
            raise ConfigError(
                f"variant {name!r} is already registered by {_registry[name].source_file()}; "
                f"{info.source_file()} must choose another name"
            )
        cls.info = info
        _registry[name] = info
        return cls

    return add


@cache
def _discover() -> None:
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if module.name not in _CORE:
            importlib.import_module(f"{package}.{module.name}")
    for point in entry_points(group=ENTRY_POINTS):
        point.load()


def get_declared(name: str) -> dict[str, Any]:
    """Return what a variant that only changes the sampling takes over from the one whose step it makes."""
    info = _registry[name]
    kept = ("gradients", "forwards", "state", "transient", "cost", "synchronizes", "needs", "hyper", "neutral")
    return {field: getattr(info, field) for field in (*kept, "defaults", "status")}


def load_plugin(path: str | Path) -> list[str]:
    """Import a file that registers variants, and return the names it added.

    Raises:
        ConfigError: the file does not exist, fails on import, or registers nothing.
    """
    _discover()
    file = Path(path).resolve()
    if not file.is_file():
        raise ConfigError(f"plugin {str(path)!r} does not exist; give the path of a Python file")
    module_name = f"sambench_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if module_name in sys.modules:
        return [name for name, info in _registry.items() if info.cls.__module__ == module_name]
    before = set(_registry)
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugin {str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"plugin {str(path)!r} fails on import: {type(error).__name__}: {error}") from error
    added = sorted(set(_registry) - before)
    if not added:
        raise ConfigError(f"plugin {str(path)!r} registers no variant; decorate a StepRule with @register(...)")
    return added


def list_variants(pattern: str = "*") -> list[VariantInfo]:
    """Return the registered variants whose names match a shell pattern, in alphabetical order."""
    _discover()
    return [_registry[name] for name in sorted(_registry) if fnmatch(name, pattern)]


def published_results() -> list[dict[str, Any]]:
    """Return every published accuracy as a row of plain values, for tables that need not know a variant.

    Returns:
        By variant, data set and network; with the keys ``variant``, ``dataset``, ``network``, ``setting`` (the
        hyper-parameters that the source names), ``accuracy`` and ``deviation`` (percent; the latter may be None),
        ``protocol`` and ``source``.
    """
    rows = [
        {
            "variant": info.name,
            "dataset": one.dataset,
            "network": one.network,
            "setting": dict(one.hyper),
            "accuracy": one.value,
            "deviation": one.deviation,
            "protocol": one.protocol,
            "source": one.source,
        }
        for info in list_variants()
        for one in info.published
    ]
    return sorted(rows, key=lambda row: (row["variant"], row["dataset"], row["network"]))


def get_info(name: str) -> VariantInfo:
    """Return a variant's metadata; an unknown name is an error that lists the valid ones."""
    _discover()
    if name not in _registry:
        raise unknown("variant", name, _registry)
    return _registry[name]


def create(
    name: str,
    model_or_params: nn.Module | Iterable[Any],
    *,
    base: str = "sgd",
    seed: int = 0,
    **hyper: Any,
) -> StepRule:
    """Create a variant on top of a base optimizer.

    Args:
        name: a registered variant.
        model_or_params: a module, parameters, named parameters, or parameter groups (a group may carry its own values,
            ``{"params": ..., "rho": 0.1}``).
        base: any optimizer of ``timm.optim``'s registry. ``"sgd"`` is ``torch.optim.SGD`` with Nesterov off unless
            asked for; weight decay reaches every parameter it is given.
        seed: of the variant's own noise.
        **hyper: hyper-parameters of the variant (``rho=0.05``) and of the base optimizer (``lr=0.1``).

    Returns:
        An optimizer whose ``step(closure)`` evaluates the gradient as often as the variant needs.

    Raises:
        ConfigError: an unknown name or hyper-parameter, a value out of range, or parameters that cannot be used.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = create("sam", model, base="sgd", lr=0.1, momentum=0.9, rho=0.05)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = model(torch.ones(4, 2)).square().mean()
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)
    """
    info = get_info(name)
    of_base = base_hyper(base)
    for key in hyper:
        if key not in info.hyper and key not in of_base:
            raise unknown(f"hyper-parameter of {name!r} on base {base!r}", key, [*info.hyper, *of_base])
    own = resolve(repr(name), info.hyper, {key: value for key, value in hyper.items() if key in info.hyper})
    layout = read_parameters(model_or_params)
    check_owners(info, [p for group in layout.groups for p in group["params"]], layout.owners)
    groups = [
        {**group, **{key: info.hyper[key].check(key, group[key]) for key in own if key in group}}
        for group in layout.groups
    ]
    groups = [{**own, **group} for group in groups]
    optimizer = make_base(base, groups, {key: value for key, value in hyper.items() if key not in info.hyper})
    return info.cls(optimizer, layout.owners, own, seed)
