"""Problems by name: a family registers a factory that needs no argument, so that every test runs on every problem.

A reader is the other kind: it makes a problem of a file, and its name is followed by the file's (``libsvm:FILE``).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ....errors import ConfigError, unknown
from .base import Problem

Factory = TypeVar("Factory", bound=Callable[..., Problem])
_factories: dict[str, Callable[..., Problem]] = {}
_readers: dict[str, Callable[..., Problem]] = {}


def problem(name: str) -> Callable[[Factory], Factory]:
    """Register a factory of problems under a name.

    Raises:
        ConfigError: the name is taken.
    """
    return partial(_add, _factories, name)


def reader(name: str) -> Callable[[Factory], Factory]:
    """Register a factory whose first argument is the path of a file.

    Raises:
        ConfigError: the name is taken.
    """
    return partial(_add, _readers, name)


def _add(registry: dict[str, Callable[..., Problem]], name: str, factory: Factory) -> Factory:
    if name in registry:
        raise ConfigError(f"theory problem {name!r} is registered already; give the new one another name")
    registry[name] = factory
    return factory


def make_problem(name: str, **arguments: Any) -> Problem:
    """Build a problem by name, or from a file by ``reader:FILE``; the arguments are those of its factory.

    Example:
        >>> make_problem("ridge", n=12, d=3).n
        12

    Raises:
        ConfigError: no such problem; the message lists them.
        DataError: the file does not exist or is not in its format.
    """
    kind, colon, path = name.partition(":")
    if colon and kind in _readers:
        return _readers[kind](path, **arguments)
    if name not in _factories:
        raise unknown("theory problem", name, [*_factories, *list_readers()])
    return _factories[name](**arguments)


def list_problems() -> dict[str, str]:
    """Return every registered name with the first line of its factory's docstring."""
    return _lines(_factories)


def list_readers() -> dict[str, str]:
    """Return ``name:FILE`` of every reader with the first line of its docstring."""
    return {f"{name}:FILE": line for name, line in _lines(_readers).items()}


def _lines(registry: dict[str, Callable[..., Problem]]) -> dict[str, str]:
    return {name: (make.__doc__ or "").partition("\n")[0] for name, make in sorted(registry.items())}
