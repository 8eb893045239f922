"""What a step looks at on the host: whether a recording of it would be right for the next one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ...seeding import derive_seed
from ...variants import StepRule
from .classification import ClassificationOracle

MOVING = frozenset({"steps", "step", "epoch", "scalars", "previous", "fresh"})
"""What moves with every step: its number, the epoch, what the rule remembers on the host, batches beside its own."""
READ = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2")
TWICE = "its rule starts its random stream more than once a step"


class Watch(TorchDispatchMode):
    """Notes what a step looks at on the host, and does that no recording can hold.

    Args:
        rule: the optimizer.
        oracle: its closure.
    """

    def __init__(self, rule: StepRule, oracle: ClassificationOracle):
        super().__init__()
        self.rule, self.closure = rule, _Closure(oracle, self.note)
        self.read: set[tuple[int, str]] = set()
        """Numbers of parameter groups that were read, by group and name."""
        self.looks, self.why = False, ""
        """Whether anything was looked at that moves with every step; why no recording can hold the step."""
        self.open, self.streams = True, 0

    def note(self, name: str) -> None:
        self.looks = self.looks or name in MOVING

    def note_value(self, group: int, name: str) -> None:
        if self.open and name != "params":
            self.read.add((group, name))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags and not (kwargs or {}).get("generator"):
            self.why = self.why or "random numbers are drawn in a pass (dropout)"
        if func.overloadpacket.__name__ in READ:
            self.why = self.why or "the host reads a value of the step"
        return func(*args, **(kwargs or {}))

    def noise(self) -> torch.Generator:
        self.streams += 1
        if self.streams > 1:
            self.why = self.why or TWICE
        rule = self.rule
        made = _Stream(rule.param_groups[0]["params"][0].device)
        made.note = self.note
        made.manual_seed(derive_seed(f"variant:{rule.info.name}", rule.seed, vars(rule)["steps"]))
        return made

    @contextmanager
    def rule_watched(self) -> Iterator[None]:
        """Let the rule tell, inside the block, what it reads; the base optimizer's step is its own affair."""
        rule, base, cls, groups = self.rule, self.rule.base, type(self.rule), list(self.rule.param_groups)
        step = base.step

        def step_of_base() -> None:
            self.open = False
            self.__exit__(None, None, None)  # a mode hides from hooks that a tensor was written to
            try:
                step()
            finally:
                self.__enter__()
                self.open = True

        object.__setattr__(rule, "__class__", _telling(cls, self.note))
        vars(rule)["noise"], vars(base)["step"] = self.noise, step_of_base
        rule.param_groups[:] = [_Group(group, i, self.note_value) for i, group in enumerate(groups)]
        try:
            yield
        finally:
            object.__setattr__(rule, "__class__", cls)
            del vars(rule)["noise"], vars(base)["step"]
            for i, group in enumerate(groups):
                group.update(dict.items(rule.param_groups[i]))
            rule.param_groups[:] = groups


class _Closure:
    """The oracle, as a rule sees it."""

    def __init__(self, oracle: ClassificationOracle, note: Callable[[str], None]):
        self._oracle, self._note = oracle, note

    def __getattr__(self, name: str) -> Any:
        self._note(name)
        return getattr(self._oracle, name)

    def __call__(self, **request: Any) -> Tensor:
        for name in request:
            self._note(name)
        return self._oracle(**request)


class _Group(dict[str, Any]):
    """A parameter group that tells which of its values are read."""

    def __init__(self, group: dict[str, Any], at: int, note: Callable[[int, str], None]):
        super().__init__(group)
        self.at, self.note = at, note

    def __getitem__(self, name: str) -> Any:
        self.note(self.at, name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.note(self.at, name)
        return super().get(name, default)

    def items(self) -> Any:
        for name in self:
            self.note(self.at, name)
        return super().items()


class _Stream(torch.Generator):
    """A random stream that tells when the host looks at its seed, which is another in every step."""

    note: Callable[[str], None]

    def initial_seed(self) -> int:
        self.note("steps")
        return super().initial_seed()


def _telling(cls: type[StepRule], note: Callable[[str], None]) -> type[StepRule]:
    """Return a class of rules that tell when they look at their counters."""

    def told(name: str) -> property:
        def get(rule: StepRule) -> Any:
            note(name)
            return vars(rule)[name]

        return property(get)

    return type(cls.__name__, (cls,), {name: told(name) for name in ("steps", "scalars")})
