"""The exception classes of the package; each message names the value, the valid ones and the way out."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class SambenchError(Exception):
    """The base of all errors of sambench; the command line prints its message without a traceback."""


class ConfigError(SambenchError, ValueError):
    """The request is not valid: an unknown name, a value out of range, a wrong combination."""


class DataError(SambenchError, RuntimeError):
    """A data set is missing, damaged or not in the layout that its loader reads."""


class StateError(SambenchError, RuntimeError):
    """A checkpoint, record or results folder is damaged, foreign or cannot be written."""


def nearest(name: str, valid: Iterable[str], most: int = 2, cutoff: float = 0.55) -> list[str]:
    """List the valid names that a misspelt one resembles, the nearest first.

    Args:
        name: the misspelt name; its case is ignored.
        valid: the accepted names, in lower case.
        most: largest number of names returned.
        cutoff: smallest similarity of a returned name, from 0 to 1 (``difflib``'s ratio).

    Example:
        >>> nearest("sma", ["sgd", "sam"]), nearest("adamw", ["sgd", "sam"])
        (['sam'], [])
    """
    return get_close_matches(name.lower(), sorted(valid), n=most, cutoff=cutoff)


def unknown(kind: str, name: str, valid: Iterable[str], of: str = "") -> ConfigError:
    """Build the error for a name that is not in a collection, with the nearest ones first.

    Args:
        kind: kind of thing that is named, in the singular (``"variant"``).
        name: the name that was given.
        valid: every name that would have been accepted.
        of: what it is a name of, where that is more than the kind.

    Example:
        >>> str(unknown("variant", "sma", ["sgd", "sam"]))
        "unknown variant 'sma'; did you mean 'sam'? Valid: sam, sgd"
        >>> str(unknown("setting", "steps", ["epsilon"], of="measure 'pgd'"))
        "unknown setting 'steps' of measure 'pgd'. Valid: epsilon"
    """
    options = sorted(valid)
    near = nearest(name, options)
    hint = f"; did you mean {' or '.join(repr(option) for option in near)}?" if near else "."
    what = f"{name!r} of {of}" if of else repr(name)
    return ConfigError(f"unknown {kind} {what}{hint} Valid: {', '.join(options) or 'none, there are none'}")


def brief(value: object, most: int = 80) -> str:
    """Write a value of a message, however long it is.

    Example:
        >>> brief("no"), brief(10**5000), brief("o" * 99, most=9)
        ("'no'", 'a number of very many digits', "'ooooo...")
    """
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        text = "a number of very many digits"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def explain(error: "ValidationError", whole: str = "the file", depth: int | None = None) -> list[str]:
    """Say which values pydantic refused, one line each: location, value and reason.

    Args:
        error: the error of a pydantic model.
        whole: name for problems that belong to no single field.
        depth: number of parts that a location is cut to. A value that may have several types has a problem for each
            of them, below its own location; cut to that, only the first is reported.

    Example:
        >>> from pydantic import TypeAdapter, ValidationError
        >>> try:
        ...     TypeAdapter(dict[str, int]).validate_python({"epochs": "many"})
        ... except ValidationError as error:
        ...     explain(error)
        ["epochs='many' is not valid: input should be a valid integer, unable to parse string as an integer"]
    """
    first: dict[tuple[int | str, ...], Any] = {}
    for problem in error.errors(include_url=False):
        first.setdefault(problem["loc"][:depth], problem)
    return [_problem(".".join(map(str, where)), problem, whole) for where, problem in first.items()]


def _problem(where: str, problem: Any, whole: str) -> str:
    reason = problem["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    if not where or problem["type"] == "missing":  # the input is then the whole content
        return f"{where or whole}: {reason}"
    return f"{where}={brief(problem['input'])} is not valid: {reason}"


class Interrupted(BaseException):
    """A run stopped on request, with its checkpoint written; not an ``Exception``, so that error handlers ignore it."""
