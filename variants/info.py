"""What is declared about a variant, beside its class: the source of every listing, check and table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType
from typing import Any

from ..errors import ConfigError, brief
from ..hyper import Hyper, Value
from ..registry import file_of, source_hash
from .published import Published

STATUSES = ("reference", "reimplementation, unverified")
COSTS = ("fixed", "random", "adaptive")
OF_PARAMETERS = ("names", "modules", "whole")
"""Needs that ``create`` meets or refuses; the others are asked of the closure."""
NEEDS = (*OF_PARAMETERS, "clock", "subset", "losses", "logits", "ids", "previous", "fresh", "hook", "average")


@dataclass(frozen=True)
class Paper:
    """Where a variant was published."""

    authors: str
    year: int
    arxiv: str = ""
    title: str = ""
    code: str = ""

    def __str__(self) -> str:
        return f"{self.authors} {self.year}" + (f", arXiv {self.arxiv}" if self.arxiv else "")


def check_hyper(owner: str, hyper: Any) -> None:
    """Make sure that the hyper-parameters that somebody declares are a table of names and :class:`Hyper`.

    Raises:
        ConfigError: they are not.
    """
    example = "{'rho': Hyper(0.05, 'radius', low=0)}"
    if not isinstance(hyper, Mapping):
        raise ConfigError(f"{owner} has hyper={brief(hyper)}; give a dictionary, {example}")
    for name, one in hyper.items():
        if not (isinstance(name, str) and isinstance(one, Hyper)):
            raise ConfigError(f"{owner} has the hyper-parameter {brief(name)}: {brief(one)}; write {example}")


def check_plugin(cls: Any) -> None:
    """Make sure that the metadata of a loss hook or a weight average, which are class attributes, are sound.

    Raises:
        ConfigError: an unknown status, or a hyper-parameter whose name does not start with the plug-in's.
    """
    check_hyper(f"{cls.name!r}", cls.hyper)
    if cls.status not in STATUSES:
        raise ConfigError(f"{cls.name!r} has status {cls.status!r}; valid: {', '.join(STATUSES)}")
    if wrong := [key for key in cls.hyper if not key.startswith(f"{cls.name}_")]:
        raise ConfigError(
            f"hyper-parameters {wrong} of {cls.name!r} must start with '{cls.name}_': a run has those of its variant "
            "and all its plug-ins side by side"
        )


@dataclass(frozen=True)
class Identity:
    """A setting at which a variant is another one exactly: a claim beside the variant, proven by the tests.

    Args:
        hyper: the setting of this variant.
        equals: name of the other variant.
        other: the other variant's setting; what is left out takes its default.
    """

    hyper: Mapping[str, Value]
    equals: str
    other: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class VariantInfo:
    """Frozen metadata of one variant.

    Args:
        name: how it is called in specs, suites and tables.
        summary: what it does, one line of text.
        paper: the publication, or None for what has none.
        gradients: declared gradient evaluations (forward and backward over one full batch) per step: a number, or a
            function of the resolved hyper-parameters.
        forwards: declared forward-only evaluations per step, like ``gradients``.
        state: persistent tensors of the size of the parameters, beside the base optimizer's own.
        transient: such tensors alive only inside a step, beside the gradient itself.
        cost: how ``gradients`` and ``forwards`` are meant. ``fixed``: a whole run counts exactly that per step;
            ``random``: steps are drawn independently, between two costs, with that mean; ``adaptive``: the gradients
            seen decide, and each step costs between that rounded down and rounded up.
        synchronizes: whether its definition branches on a computed value, so that a step waits for the device.
        steps_base: whether weights move by steps of the base optimizer. Where they do not, nothing that acts on those
            steps alone has an effect: another base, momentum, gradient clipping.
        needs: what it must see beyond a plain closure and bare parameters, out of ``NEEDS``; ``whole`` parameters, not
            shards of them, where it is more than norms and element-wise operations.
        hyper: its hyper-parameters, by name.
        neutral: the setting at which it is its base optimizer, or None when there is none.
        identities: settings at which it is another variant.
        defaults: per data set, the published hyper-parameters, with their source.
        published: accuracies that others report for it.
        sampler: the sampling policy that belongs to it.
        hook: the loss hook that belongs to it.
        average: the weight average that belongs to it.
        status: ``reference`` or ``reimplementation, unverified``.
        brief: a setting at which a dozen steps go through all that it does, where the defaults need longer.
        notes: caveats that a user has to know.
    """

    name: str
    summary: str
    paper: Paper | None
    gradients: float | Callable[[Mapping[str, Any]], float]
    forwards: float | Callable[[Mapping[str, Any]], float] = 0.0
    state: float = 0.0
    transient: float = 0.0
    cost: str = "fixed"
    synchronizes: bool = False
    steps_base: bool = True
    needs: tuple[str, ...] = ()
    hyper: Mapping[str, Hyper] = field(default_factory=dict)
    neutral: Mapping[str, Value] | None = None
    identities: tuple[Identity, ...] = ()
    defaults: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    sampler: str = "uniform"
    hook: str = "none"
    average: str = "none"
    status: str = "reference"
    brief: Mapping[str, Value] = field(default_factory=dict)
    notes: str = ""
    cls: type = field(default=object, compare=False)

    def __post_init__(self) -> None:
        check_hyper(f"variant {self.name!r}", self.hyper)
        for name in ("gradients", "forwards", "state", "transient"):
            if not callable(value := getattr(self, name)):
                self._number(name, value)
        if self.status not in STATUSES:
            raise ConfigError(f"variant {self.name!r} has status {self.status!r}; valid: {', '.join(STATUSES)}")
        if self.cost not in COSTS:
            raise ConfigError(f"variant {self.name!r} has cost {self.cost!r}; valid: {', '.join(COSTS)}")
        if wrong := [need for need in self.needs if need not in NEEDS]:
            raise ConfigError(f"variant {self.name!r} needs {wrong}; valid: {', '.join(NEEDS)}")
        for name in ("hyper", "defaults", "brief"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def _number(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
            raise ConfigError(f"variant {self.name!r} declares {name}={brief(value)}; it must be a number >= 0")
        return float(value)

    def declared_gradients(self, hyper: Mapping[str, Any]) -> float:
        """Gradient evaluations per step at these resolved hyper-parameters."""
        return self._number("gradients", self.gradients(hyper) if callable(self.gradients) else self.gradients)

    def declared_forwards(self, hyper: Mapping[str, Any]) -> float:
        """Forward-only evaluations per step at these resolved hyper-parameters."""
        return self._number("forwards", self.forwards(hyper) if callable(self.forwards) else self.forwards)

    @property
    def asks(self) -> tuple[str, ...]:
        """What it asks its closure for: an oracle has it, a plain closure does not."""
        return tuple(need for need in self.needs if need not in OF_PARAMETERS)

    def requirements(self) -> str:
        """Say what ``step`` and ``create`` must be given: a plain closure and bare parameters, or more."""
        closure = f"an oracle (sambench.Oracle), asked for {', '.join(self.asks)}" if self.asks else "a plain closure"
        about = [f"parameters with their {need}" for need in self.needs if need in OF_PARAMETERS and need != "whole"]
        shards = "not in shards" if "whole" in self.needs else "whole or in shards (FSDP2)"
        return f"{closure}; {' and '.join(about) or 'bare parameters'}, {shards}"

    def source_file(self) -> str:
        """The file that defines the variant."""
        return file_of(self.cls)

    def source_hash(self) -> str:
        """sha256 of that file: a record made by other code is recognizable as such."""
        return source_hash(self.cls)
