"""What a check may answer: it holds, it does not, or it says nothing about this variant. Each with its reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ...registry import Registry
from ...variants import VariantInfo

Verdict = Literal["pass", "fail", "n/a"]
Function = Callable[[VariantInfo], str]


class Failed(AssertionError):
    """The property does not hold; the message says what was seen and what was due."""


class NotApplicable(Exception):
    """The property says nothing about this variant; the message says why."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check of one variant."""

    variant: str
    check: str
    verdict: Verdict
    reason: str
    seconds: float


@dataclass(frozen=True)
class Check:
    """One property: its number in the table, its name, what it says of a variant, and the function that tests it.

    The function takes the variant's metadata and nothing else. It returns in one line what was seen to hold, or raises
    :class:`Failed` or :class:`NotApplicable`.
    """

    number: int
    name: str
    summary: str
    function: Function
    prepare: Callable[[Sequence[str]], None] | None = None
    """What is done once, for all variants of a call together, before any is checked."""


CHECKS: Registry[Check] = Registry("conformance check", f"{__package__}.checks")


def check(
    number: int, name: str, summary: str, prepare: Callable[[Sequence[str]], None] | None = None
) -> Callable[[Function], Function]:
    """Register the function below as a check; the arguments are those of :class:`Check`.

    Raises:
        ConfigError: the name is taken.
    """

    def add(function: Function) -> Function:
        CHECKS.register(Check(number, name, summary, function, prepare))
        return function

    return add


def list_checks() -> list[Check]:
    """Return all checks in the order of their numbers; of one number, what has to be prepared for comes last."""
    CHECKS.discover()
    return sorted(CHECKS.members.values(), key=lambda one: (one.number, one.prepare is not None))
