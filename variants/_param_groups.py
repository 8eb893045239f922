"""Reading what :func:`create` is given: a module, parameters, named parameters or groups of either."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ._shards import in_shards
from .info import VariantInfo


@dataclass(frozen=True)
class Owner:
    """Where a parameter sits in the model: its qualified name, and its module when a module was given."""

    name: str
    module: nn.Module | None = None

    @cached_property
    def is_weight(self) -> bool:
        """Whether it is a weight and not a bias, by its own name ("weight", "weight_ih_l0", "in_proj_weight").

        What stands in its path decides nothing: a bias of a layer called "weights" is a bias. A tensor that
        ``torch.nn.utils.parametrize`` computes a weight from is that weight, an entry of a list is what the list is.
        """
        *path, own = self.name.split(".")
        if path[-2:-1] == ["parametrizations"] and own.startswith("original"):
            own = path[-1]
        while own.isdigit() and path:
            own = path.pop()
        return "weight" in own


@dataclass(frozen=True)
class Layout:
    """Parameter groups as an optimizer takes them, and what is known about each parameter's place."""

    groups: list[dict[str, Any]]
    owners: dict[Tensor, Owner]


def read_parameters(given: nn.Module | Iterable[Any]) -> Layout:
    """Bring any accepted form into groups.

    Raises:
        ConfigError: nothing to optimize, a parameter twice, or one that is complex, sparse or not a leaf tensor.
    """
    if isinstance(given, nn.Module):
        owners: dict[Tensor, Owner] = {
            p: Owner(f"{path}.{name}" if path else name, module)
            for path, module in given.named_modules()
            for name, p in module.named_parameters(recurse=False)
        }
        groups = [{"params": list(given.parameters())}]
    else:
        if isinstance(given, Tensor):
            raise ConfigError("parameters must be a module or an iterable, not a single tensor: pass [tensor]")
        items = list(given)
        owners = {}
        groups = items if items and all(isinstance(item, dict) for item in items) else [{"params": items}]
        groups = [{**group, "params": _plain(group.get("params", []), owners)} for group in groups]
    params = [p for group in groups for p in group["params"]]
    if not params:
        raise ConfigError("there is nothing to optimize: the model or the list of parameters is empty")
    if len(set(params)) != len(params):
        raise ConfigError("a parameter stands in two places of the groups; each may be listed once")
    for p in params:
        name = owners[p].name if p in owners else f"of shape {tuple(p.shape)}"
        if p.is_complex():
            raise ConfigError(f"parameter {name} is complex ({p.dtype}); use torch.view_as_real and optimize that")
        if p.layout != torch.strided:
            raise ConfigError(f"parameter {name} is sparse ({p.layout}); only dense parameters can be perturbed")
        if not p.is_leaf:
            raise ConfigError(f"parameter {name} is not a leaf tensor; optimize the tensor it was computed from")
    if len({in_shards([p]) for p in params}) > 1:
        raise ConfigError("some parameters are in shards and some are not: wrap the whole model, fully_shard(model)")
    return Layout(groups, owners)


def _plain(params: Any, owners: dict[Tensor, Owner]) -> list[Tensor]:
    plain = []
    for item in [params] if isinstance(params, Tensor) else params:
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            name, item = item
            owners[item] = Owner(name)
        if not isinstance(item, Tensor):
            raise ConfigError(f"a parameter must be a tensor or (name, tensor), got {type(item).__name__}")
        plain.append(item)
    return plain


def check_owners(info: VariantInfo, params: list[Tensor], owners: Mapping[Tensor, Owner]) -> None:
    """Refuse parameters about which a variant has to know more than is known."""

    def lacks(need: str, owner: Owner | None) -> bool:
        return owner is None or (need == "modules" and owner.module is None)

    for need, wanted in (("names", "a module or named parameters"), ("modules", "a module")):
        if need in info.needs and any(lacks(need, owners.get(p)) for p in params):
            raise ConfigError(
                f"{info.name!r} treats parameters by their {need} and was given bare parameters: "
                f"pass {wanted}, as in create({info.name!r}, model, ...)"
            )
    if "whole" in info.needs and in_shards(params):
        raise ConfigError(
            f"{info.name!r} looks at whole parameters, and these are in shards (fully_shard): more than norms and "
            "element-wise operations it cannot do to them; use DistributedDataParallel, or a variant that `sambench "
            'describe` lists with "whole or in shards"'
        )
