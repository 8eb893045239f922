"""Names that a rule inherits and must leave alone: a second meaning of one of them would change the step in silence."""

from inspect import unwrap
from typing import Any

from torch.optim import Optimizer

from ..errors import ConfigError

STATE = frozenset({"base", "owners", "seed", "steps", "own", "scalars"})
"""What every rule remembers. Its dictionaries are filled by rules, and replaced by nobody but the framework."""
OPTIMIZER = frozenset({"param_groups", "state", "defaults"})
"""What every torch optimizer keeps, known to no class before there is an instance."""
VERBS = frozenset({"gradient", "groups", "perturbed", "descend", "average", "noise", "ask"})
"""What a rule calls. (``step`` is not among them: torch's schedulers wrap it on the instance.)"""
YOURS = frozenset({"update", "info", "add_param_group", "state_dict", "load_state_dict"})
"""What a rule implements, or may extend as any torch optimizer does: by calling ``super()``."""


def check_names(cls: type, framework: type[Optimizer]) -> None:
    """Refuse a rule that gives a name of the framework another meaning.

    Args:
        cls: the rule, a subclass of ``framework``; what it inherits from other rules is checked with it.
        framework: the class whose names are taken.

    Raises:
        ConfigError: the message names the attribute, the class that defines it, and what to do.
    """
    known = {name: getattr(framework, name) for name in dir(framework) if not name.startswith("__")}
    taken = known.keys() | STATE | OPTIMIZER
    for owner in cls.__mro__[: cls.__mro__.index(framework)]:
        for name in sorted(vars(owner).keys() & (taken - YOURS)):
            if name in known and unwrap(vars(owner)[name]) is unwrap(known[name]):
                continue  # torch profiles ``step`` by wrapping it on the class of the first instance
            raise ConfigError(
                f"{owner.__qualname__} defines {name!r}, which {framework.__name__} uses for itself: the step would "
                f"use this one instead. Call it otherwise; a rule defines 'update' and names of its own. Taken: "
                f"{', '.join(sorted(name for name in taken - YOURS if not name.startswith('_')))}"
            )


def check_assignment(rule: Any, name: str) -> None:
    """Refuse an assignment to what the framework keeps on an instance, or to one of the verbs of the contract.

    Raises:
        ConfigError: the message names the attribute, and where a rule's memory belongs.
    """
    if name in STATE or name in VERBS:
        raise ConfigError(
            f"{type(rule).__qualname__} assigns self.{name}, which the step itself uses: call it otherwise. Tensors "
            "that a rule remembers go into self.own[parameter], numbers into self.scalars"
        )
