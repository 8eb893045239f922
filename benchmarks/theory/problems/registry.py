"""Problems by name: a factory that needs no argument, so that every test runs on every problem.

One that makes a problem of a file has a name with a parameter, which is the path (``libsvm:FILE``).
"""

from collections.abc import Callable
from typing import Any

from ....registry import Registry, has_parameters
from .base import Problem

PROBLEMS: Registry[Callable[..., Problem]] = Registry("theory problem", __name__.rpartition(".")[0])
"""The factories, by name: ``@PROBLEMS.named("ridge")`` adds a function."""


def make_problem(name: str, **arguments: Any) -> Problem:
    """Build a problem by name, or from a file (``libsvm:FILE``); the arguments are those of its factory.

    Example:
        >>> make_problem("ridge", n=12, d=3).n
        12

    Raises:
        ConfigError: no such problem; the message lists them.
        DataError: the file does not exist or is not in its format.
    """
    make, path = PROBLEMS.resolve(name)
    return make(*path, **arguments)


def list_problems() -> dict[str, str]:
    """Return every problem that needs no file, by name, with one line on it."""
    return {name: line for name, line in PROBLEMS.summaries().items() if not has_parameters(name)}
