"""Hyper-parameters: default, meaning, valid values and search range of each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import ConfigError, brief, unknown

Value = float | int | bool | str
LARGEST = 1e15
"""No hyper-parameter is larger: whole numbers are exact up to here, and products stay within single precision."""


@dataclass(frozen=True)
class Hyper:
    """A declared hyper-parameter.

    Args:
        default: value if none is given; its type is the type of the hyper-parameter.
        doc: meaning, with symbol and unit.
        low: smallest valid number, ``None`` without a lower limit.
        high: largest valid number, ``None`` without an upper limit.
        choices: valid texts; if the default is a number, numbers within ``low`` and ``high`` are valid, too.
        pattern: regular expression that other texts are valid by.
        above: whether ``low`` itself is excluded.
        search: the range that a tuner may search, as ``(low, high, "log" | "linear")`` or a tuple of values.
        share_of: the hyper-parameter that ``search`` is a range of shares of, for one that may not exceed it.
        added: whether it was declared after runs were recorded: a spec names it where it is not the default, so that
            no run's id has changed.
    """

    default: Value
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    above: bool = False
    search: tuple[Value, ...] | None = None
    share_of: str = ""
    added: bool = False
    pattern: str = ""

    @property
    def numeric(self) -> bool:
        return isinstance(self.default, int | float) and not isinstance(self.default, bool)

    def describe(self) -> str:
        """Describe the valid values in words: ``a number >= 0``, ``one of 'step', 'epoch'``."""
        if isinstance(self.default, bool):
            return "true or false"
        texts = f"one of {', '.join(map(repr, self.choices))}" if self.choices else ""
        texts = f"text like {self.pattern}" if self.pattern else texts
        if not self.numeric:
            return texts
        number = "an integer" if isinstance(self.default, int) else "a number"
        if self.low is not None and self.high is not None and not self.above:
            number += f" in [{self.low:g}, {self.high:g}]"
        else:
            bounds = [] if self.low is None else [f"{'>' if self.above else '>='} {self.low:g}"]
            bounds += [] if self.high is None else [f"<= {self.high:g}"]
            number = " ".join([number, " and ".join(bounds)]).strip()
        return f"{number} or {texts}" if texts else number

    def check(self, name: str, value: object) -> Value:
        """Return the value in the declared type, or raise :class:`ConfigError` with the valid values.

        Example:
            >>> Hyper(0.05, "radius", low=0).check("rho", "0.1")
            0.1
            >>> Hyper(0.05, "radius", low=0).check("rho", -1)
            Traceback (most recent call last):
            sambench.errors.ConfigError: rho=-1 is not valid: it must be a number >= 0 (radius)
        """
        refusal = ConfigError(f"{name}={brief(value)} is not valid: it must be {self.describe()} ({self.doc})")
        if isinstance(value, str) and (value in self.choices or (self.pattern and re.fullmatch(self.pattern, value))):
            return value
        if isinstance(self.default, bool):
            texts = {"true": True, "false": False}
            flag = texts.get(value.lower()) if isinstance(value, str) else value
            if not isinstance(flag, bool):
                raise refusal
            return flag
        if not self.numeric or isinstance(value, bool) or not isinstance(value, int | float | str):
            raise refusal
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise refusal from None
        too_low = self.low is not None and (number <= self.low if self.above else number < self.low)
        if not abs(number) <= LARGEST or too_low or (self.high is not None and number > self.high):
            raise refusal
        if isinstance(self.default, int):
            if number != int(number):
                raise refusal
            return int(number)
        return number + 0.0  # -0.0 is 0.0: a run has one name


def resolve(owner: str, declared: Mapping[str, Hyper], given: Mapping[str, object]) -> dict[str, Value]:
    """Fill in defaults and check every value.

    Args:
        owner: name of the owner of the hyper-parameters, for error messages.
        declared: name of each hyper-parameter -> its declaration.
        given: name -> value, for those that are not left at their default.

    Raises:
        ConfigError: with every unknown name and the valid ones, and every value that is not valid, one a line.

    Example:
        >>> resolve("sam", {"rho": Hyper(0.05, "radius", low=0)}, {"rho": -1, "roh": 1})
        Traceback (most recent call last):
        sambench.errors.ConfigError: unknown hyper-parameter 'roh' of sam; did you mean 'rho'? Valid: rho
        rho=-1 is not valid: it must be a number >= 0 (radius)
    """
    problems = [str(unknown("hyper-parameter", name, declared, owner)) for name in given if name not in declared]
    values: dict[str, Value] = {}
    for name, hyper in declared.items():
        try:
            values[name] = hyper.check(name, given.get(name, hyper.default))
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return values
