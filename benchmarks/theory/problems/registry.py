"""Problems by name: a family registers a factory that needs no argument, so that every test runs on every problem."""

from collections.abc import Callable
from typing import Any, TypeVar

from ....errors import unknown
from .base import Problem

Factory = TypeVar("Factory", bound=Callable[..., Problem])
_factories: dict[str, Callable[..., Problem]] = {}


def problem(name: str) -> Callable[[Factory], Factory]:
    """Register a factory of problems under a name."""

    def add(factory: Factory) -> Factory:
        _factories[name] = factory
        return factory

    return add


def make_problem(name: str, **arguments: Any) -> Problem:
    """Build a problem by name; the arguments are those of its factory.

    Example:
        >>> make_problem("ridge", n=12, d=3).n
        12

    Raises:
        ConfigError: no such problem; the message lists them.
    """
    if name not in _factories:
        raise unknown("theory problem", name, _factories)
    return _factories[name](**arguments)


def list_problems() -> dict[str, str]:
    """Return every registered name with the first line of its factory's docstring."""
    return {name: (make.__doc__ or "").partition("\n")[0] for name, make in sorted(_factories.items())}
