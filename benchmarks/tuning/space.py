"""Where to search: an axis for each hyper-parameter that a method declares a range for, and those that all share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...datasets.samplers import SAMPLERS
from ...hyper import Hyper, Value
from ...variants import get_info
from ..suites.entries import Entry
from ..suites.tuning_budget import SHARED, Budget

EDGE = 0.1
"""Share of a range, at each end, that counts as its edge."""


@dataclass(frozen=True)
class Axis:
    """One searched hyper-parameter: a range on a scale, or values.

    Args:
        name: name of the hyper-parameter in a spec.
        low: lower end of a range.
        high: upper end of the range.
        scale: ``log`` or ``linear``; empty for values.
        values: what there is to choose from, instead of a range.
        limits: smallest and largest valid number, where there is one: a range cannot be widened beyond them.
        of: the hyper-parameter that the range is one of shares of; empty for values of its own.
        whole: whether values are whole numbers.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    scale: str = ""
    values: tuple[Value, ...] = ()
    limits: tuple[float | None, float | None] = (None, None)
    of: str = ""
    whole: bool = False

    def at(self, share: float) -> Value:
        """Return the setting at a share in [0, 1) of the axis.

        Example:
            >>> Axis("rho", 0.01, 1.0, "log").at(0.5)
            0.1
            >>> Axis("k", values=(2, 5, 10)).at(0.99)
            10
        """
        if self.values:
            return self.values[int(share * len(self.values))]
        if self.scale == "log":
            number = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        else:
            number = self.low + share * (self.high - self.low)
        return rounded(number)

    def nearest(self, value: Value) -> Value:
        """Return the nearest setting of a range; what is chosen among values stays.

        Example:
            >>> Axis("epochs", 0.1, 1.0, "linear").nearest(0.067)
            0.1
        """
        return value if self.values or isinstance(value, str) else min(max(value, self.low), self.high)

    def holds(self, value: Value) -> bool:
        """Tell whether a setting is on the axis."""
        if self.values or isinstance(value, str):
            return value in self.values
        return self.low <= value <= self.high

    def share(self, value: float) -> float:
        """Return where a number lies: 0 at the lower end, 1 at the upper."""
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low) if value > 0 else -math.inf
        return (value - self.low) / (self.high - self.low)

    def edge(self, value: Value) -> str:
        """Say whether a chosen setting lies at the ``low`` or ``high`` edge of its range: the best may lie beyond.

        A number is at the edge in the outer tenth of its range and outside of it, one out of a list if it is the
        smallest or the largest. Where no smaller or larger number is valid, there is no edge.

        Example:
            >>> rho = Axis("rho", 0.01, 1.0, "log")
            >>> rho.edge(0.9), rho.edge(0.1), Axis("k", values=(2, 5, 10)).edge(2)
            ('high', '', 'low')
        """
        if isinstance(value, str | bool):
            return ""
        numbers = [number for number in self.values if not isinstance(number, str | bool)]
        if self.values:
            low, high = value <= min(numbers), value >= max(numbers)
        else:
            low, high = self.share(value) <= EDGE, self.share(value) >= 1 - EDGE
        smallest, largest = self.limits
        if low and (smallest is None or value > smallest):
            return "low"
        return "high" if high and (largest is None or value < largest) else ""


def values_at(axes: Sequence[Axis], point: Mapping[str, Value], fixed: Mapping[str, Value]) -> dict[str, Value]:
    """Return the hyper-parameters at a point of the space: shares become values.

    Args:
        axes: of the space.
        point: the setting on each axis, by name.
        fixed: hyper-parameters that are not searched.

    Example:
        >>> axes = (Axis("rho", 0.01, 1.0, "log"), Axis("rho_min", 0.0, 1.0, "linear", of="rho"))
        >>> values_at(axes, {"rho": 0.5, "rho_min": 0.5}, {})
        {'rho': 0.5, 'rho_min': 0.25}
        >>> values_at((Axis("k", 2, 9, "log", whole=True),), {"k": 4.243}, {})
        {'k': 4}
    """
    values = {**fixed, **point}

    def value(axis: Axis) -> Value:
        if not axis.of:
            return point[axis.name]
        whole = float(values[axis.of])
        return min(whole, rounded(float(point[axis.name]) * whole))

    return {axis.name: round(float(value(axis))) if axis.whole else value(axis) for axis in axes}


def point_of(axes: Sequence[Axis], values: Mapping[str, Value]) -> dict[str, Value]:
    """Return where hyper-parameters lie in the space: values become shares, of 0 the share 0."""

    def place(axis: Axis) -> Value:
        if not axis.of:
            return values[axis.name]
        whole = float(values[axis.of])
        return float(values[axis.name]) / whole if whole else 0.0

    return {axis.name: place(axis) for axis in axes}


def rounded(number: float) -> float:
    """Keep four digits: what a reader can type again.

    Example:
        >>> rounded(0.0123456)
        0.01235
    """
    return float(f"{number:.4g}")


def space_of(one: Entry, budget: Budget) -> tuple[Axis, ...]:
    """Return the axes of a method: those that all share, then its own, in the order they are declared.

    What the entry of the suite fixes is not searched.
    """
    info = get_info(str(one.fields.get("variant", "sgd")))
    declared: Mapping[str, Hyper] = {**info.hyper, **SAMPLERS.get(str(one.fields.get("sampler") or info.sampler)).hyper}
    fixed = one.fields["hyper"]
    own = [axis_of(name, h) for name, h in declared.items() if h.search is not None and name not in fixed]
    shared = [_shared(name, budget.range_of(name, one)) for name in SHARED]
    if budget.epochs is not None:
        shared.append(Axis("epochs", *budget.epochs, "log", limits=(0.0, 1.0)))
    return (*shared, *own)


def _shared(name: str, search: tuple[float, float, str]) -> Axis:
    low, high, scale = search
    return Axis(name, low, high, scale, limits=(0.0, None))


def axis_of(name: str, hyper: Hyper) -> Axis:
    """Return the axis of a hyper-parameter that declares what to search."""
    search: tuple[Any, ...] = hyper.search or ()
    limits = (0.0, 1.0) if hyper.share_of else (hyper.low, hyper.high)
    if len(search) == 3 and search[2] in ("log", "linear"):
        whole = isinstance(hyper.default, int)
        ends = float(search[0]), float(search[1])
        return Axis(name, *ends, search[2], limits=limits, of=hyper.share_of, whole=whole)
    return Axis(name, values=search, limits=limits)
