"""The registry of step rules: from a name to a class, its metadata and an optimizer."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from torch import nn

from ..errors import ConfigError, unknown
from ..hyper import Hyper, resolve
from ..registry import Registry
from ._bases import Base, base_hyper, check_apart, make_base, name_of
from ._param_groups import check_owners, read_parameters
from ._reserved_names import check_names
from .contract import StepRule
from .info import VariantInfo

__all__ = [
    "VARIANTS",
    "Hyper",
    "create",
    "get_declared",
    "get_info",
    "list_variants",
    "published_results",
    "register",
]

VARIANTS: Registry[VariantInfo] = Registry("variant", __name__.rpartition(".")[0])

Rule = TypeVar("Rule", bound=type[StepRule])


def register(name: str, **metadata: Any) -> Callable[[Rule], Rule]:
    """Register a step rule under a name, with its metadata (the fields of :class:`VariantInfo`).

    Raises:
        ConfigError: the name is taken by another class (the message names both files), or the class gives an attribute
            of the contract another meaning.
    """

    def add(cls: Rule) -> Rule:
        check_names(cls, StepRule)
        info = VariantInfo(name=name, cls=cls, **metadata)
        VARIANTS.add(name, info)
        cls.info = info
        return cls

    return add


def get_declared(name: str) -> dict[str, Any]:
    """Return the metadata of a variant that another one shares, which differs from it in the sampling alone."""
    info = VARIANTS.members[name]
    kept = ("gradients", "forwards", "state", "transient", "cost", "synchronizes", "needs", "hyper", "neutral")
    return {field: getattr(info, field) for field in (*kept, "defaults", "status")}


def list_variants(pattern: str = "*") -> list[VariantInfo]:
    """Return the registered variants whose names match a shell pattern, in alphabetical order."""
    return VARIANTS.all(pattern)


def published_results() -> list[dict[str, Any]]:
    """Return every published accuracy as a row of plain values, for tables that need not know a variant.

    Returns:
        By variant, data set and network; with the keys ``variant``, ``dataset``, ``network``, ``setting`` (the
        hyper-parameters that the source names), ``accuracy`` and ``deviation`` (percent; the latter may be None),
        ``printed`` (both with the digits of the source), ``protocol``, ``source`` and ``same`` (variant and setting of
        everything that is the same method: unified_sam with lam = 1 is SAM).
    """
    rows = [
        {
            "variant": info.name,
            "dataset": one.dataset,
            "network": one.network,
            "setting": dict(one.hyper),
            "accuracy": one.value,
            "deviation": one.deviation,
            "printed": one.accuracy(),
            "protocol": one.protocol,
            "source": one.source,
            "same": [[info.name, dict(one.hyper)], *_same(info.name, one.hyper)],
        }
        for info in list_variants()
        for one in info.published
    ]
    return sorted(rows, key=lambda row: (row["variant"], row["dataset"], row["network"]))


def _same(name: str, setting: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Yield the variants that are this one at its setting with one hyper-parameter more, which an identity fixes."""
    for info in list_variants():
        for one in info.identities:
            more = {key: value for key, value in one.hyper.items() if key not in setting}
            if one.equals == name and one.other.keys() == setting.keys() < one.hyper.keys() and len(more) == 1:
                yield [info.name, {**setting, **more}]


def get_info(name: str) -> VariantInfo:
    """Return a variant's metadata; an unknown name is an error that lists the valid ones."""
    return VARIANTS.get(name)


def create(
    name: str,
    model_or_params: nn.Module | Iterable[Any],
    *,
    base: Base = "sgd",
    seed: int = 0,
    **hyper: Any,
) -> StepRule:
    """Create a variant on top of a base optimizer.

    Args:
        name: a registered variant.
        model_or_params: a module, parameters, named parameters, or parameter groups (a group may carry its own values,
            ``{"params": ..., "rho": 0.1}``).
        base: any optimizer of ``timm.optim``'s registry. ``"sgd"`` is ``torch.optim.SGD`` with Nesterov off unless
            asked for; weight decay reaches every parameter it is given. Or a class or function that makes an optimizer
            of parameter groups: ``torch.optim.AdamW``, ``functools.partial(torch.optim.SGD, momentum=0.9)``.
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
    check_apart(info, base)
    for key in hyper:
        if key not in info.hyper and key not in of_base:
            raise unknown("hyper-parameter", key, [*info.hyper, *of_base], f"{name!r} on base {name_of(base)!r}")
    own = resolve(repr(name), info.hyper, {key: value for key, value in hyper.items() if key in info.hyper})
    layout = read_parameters(model_or_params)
    check_owners(info, [p for group in layout.groups for p in group["params"]], layout.owners)
    groups = [
        {**group, **{key: info.hyper[key].check(key, group[key]) for key in own if key in group}}
        for group in layout.groups
    ]
    groups = [{**own, **group} for group in groups]
    optimizer = make_base(base, groups, {key: value for key, value in hyper.items() if key not in info.hyper})
    if isinstance(optimizer, StepRule):
        raise ConfigError(f"base {name_of(base)!r} makes a step rule, {optimizer.info.name!r}: rules do not nest")
    return info.cls(optimizer, layout.owners, own, seed)
