"""What a rule remembers, in the state of its optimizer: where torch's distributed-checkpoint helpers find and keep it.

``torch.distributed.checkpoint.state_dict`` takes from an optimizer's state what stands under a parameter or in a group,
and nothing else; it asks a fresh optimizer to fill its state by a step without a closure, of learning rate and
gradients zero.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ._shards import cut_like, in_shards, local

KEY = "variant"
FLATTENED = "the helpers dropped what its rule remembers: leave out flatten_optimizer_state_dict"


def pack(state: Mapping[str, Any], memory: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state with a rule's memory in it: whole under ``"variant"``, and again under parameters and in groups.

    Args:
        state: the base optimizer's.
        memory: ``name``, ``steps``, ``scalars`` and ``own``, tensors by number of the parameter.
    """
    entries = {number: dict(entry) for number, entry in state["state"].items()}
    for number, tensors in memory["own"].items():
        entries.setdefault(number, {}).update({f"{KEY}.{key}": value for key, value in tensors.items()})
    rest = {key: value for key, value in memory.items() if key != "own"}
    groups = [{**group, KEY: rest} for group in state["param_groups"]]
    return {**state, "state": entries, "param_groups": groups, KEY: memory}


def unpack(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the base optimizer's state and the rule's memory; None where there is none.

    The memory is that under ``"variant"``, or what the helpers kept of it, which name parameters as they like.
    """
    prefix = f"{KEY}."
    names = [name for group in state["param_groups"] for name in group["params"]]
    kept = next((group[KEY] for group in state["param_groups"] if KEY in group), None)
    entries, own = {}, {}
    for name, entry in state["state"].items():
        entries[name] = {key: value for key, value in entry.items() if not str(key).startswith(prefix)}
        if mine := {key.removeprefix(prefix): entry[key] for key in entry.keys() - entries[name].keys()}:
            own[names.index(name)] = mine
            if not entries[name]:
                del entries[name]
    groups = [{key: value for key, value in group.items() if key != KEY} for group in state["param_groups"]]
    base = {**state, "state": entries, "param_groups": groups}
    memory = base.pop(KEY, None)
    return base, {"scalars": {}, **kept, "own": own} if memory is None and kept is not None else memory


def placed(value: Tensor, p: Tensor) -> Tensor:
    """Return a copy of a saved tensor where a parameter is, in shards as it is."""
    moved = value.to(p.device, copy=True)
    return cut_like([moved], [p])[0] if in_shards([p]) and moved.shape == p.shape else moved


def is_asked_to_fill(groups: list[dict[str, Any]]) -> bool:
    """Whether a step without a closure is that of the helpers, which moves nothing."""
    gradients = [p.grad for group in groups for p in group["params"] if p.requires_grad]
    still = bool(gradients) and all(float(group.get("lr", 1.0)) == 0.0 for group in groups)
    return still and not any(g is None or bool(local([g])[0].any()) for g in gradients)


class Nothing:
    """A closure of nothing, which has all that a rule may ask for: every gradient, loss and output is zero."""

    epoch, step, total_steps = 0, 0, 1
    previous, fresh = False, True

    def __init__(self, params: list[Tensor]):
        self.params = params
        self.ids = torch.zeros(1, dtype=torch.int64, device=params[0].device)
        self.logits = torch.zeros(1, 1, device=params[0].device)

    def __call__(self, **_: Any) -> Tensor:
        for p in self.params:
            p.grad = torch.zeros_like(p) if p.requires_grad else None
        return self.logits.sum()

    def losses(self) -> Tensor:
        return self.logits[0]

    def last_losses(self) -> Tensor:
        return self.logits[0]

    def cotangent(self) -> Tensor:
        return self.logits
