"""The exception classes of the package; each message names the value, the valid ones and the way out."""

from collections.abc import Iterable
from difflib import get_close_matches


class SambenchError(Exception):
    """Anything sambench refuses to do; the command line prints its message without a traceback."""


class ConfigError(SambenchError, ValueError):
    """What was asked for is not valid: an unknown name, a value out of range, a wrong combination."""


class DataError(SambenchError, RuntimeError):
    """A data set is missing, damaged or not in the layout that its loader reads."""


class StateError(SambenchError, RuntimeError):
    """A checkpoint, record or results folder is damaged, foreign or cannot be written."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> ConfigError:
    """Build the error for a name that is not in a collection, with the nearest ones first.

    Args:
        kind: what the name stands for, in the singular (``"variant"``).
        name: what was given.
        valid: every name that would have been accepted.

    Example:
        >>> str(unknown("variant", "sma", ["sgd", "sam"]))
        "unknown variant 'sma'; did you mean 'sam'? Valid: sam, sgd"
    """
    options = sorted(valid)
    near = get_close_matches(name.lower(), options, n=2, cutoff=0.55)
    hint = f"; did you mean {' or '.join(repr(option) for option in near)}?" if near else "."
    return ConfigError(f"unknown {kind} {name!r}{hint} Valid: {', '.join(options) or 'none, there are none'}")


class Interrupted(BaseException):
    """The run stopped on request and its checkpoint is written; no handler of errors should take it for one."""
