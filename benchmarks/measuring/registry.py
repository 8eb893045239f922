"""The registry of measures: functions of a trained network with declared settings and values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ConfigError, unknown
from ...hyper import Hyper, Value, resolve
from ...registry import Registry, source_hash
from ...results.records.record import canonical_json

if TYPE_CHECKING:
    pass

Found = Mapping[str, float | Sequence[float]]
"""What a measure returns: name -> number, or a series of numbers."""
Function = Callable[..., Found]


@dataclass(frozen=True)
class Measure:
    """A measure, and what is declared about it.

    Attributes:
        name: what :func:`ask` takes.
        summary: one line.
        group: the family that ``--what`` takes it with.
        function: given a :class:`~.subject.Subject` and the settings by name, returns the values.
        settings: everything that the values depend on, the network and the code aside.
        values: what is returned: name -> meaning, with its unit.
        version: raised when the same settings come to mean something else.
        paper: authors, year and arXiv number.
        of_record: whether it is given the run's record in place of a subject: it needs no model and no data.
    """

    name: str
    summary: str
    group: str
    function: Function
    settings: Mapping[str, Hyper]
    values: Mapping[str, str]
    version: int
    paper: str
    of_record: bool = False

    @property
    def source(self) -> str:
        """sha256 of the file that defines it."""
        return source_hash(self)


class NotApplicable(Exception):
    """A measure is not defined for a network or its data; the message says why."""


MEASURES: Registry[Measure] = Registry("measure", f"{__name__.split('.measuring')[0]}.measures")


def measure(
    name: str,
    summary: str,
    *,
    group: str,
    settings: Mapping[str, Hyper],
    values: Mapping[str, str],
    version: int = 1,
    paper: str = "",
    of_record: bool = False,
) -> Callable[[Function], Function]:
    """Register the function below, ``(subject, *, setting, ...) -> values``; arguments as of :class:`Measure`.

    Raises:
        ConfigError: the name is taken, or is that of a group.
    """

    def add(function: Function) -> Function:
        if any(name == one.group or group == other for other, one in MEASURES.members.items()) or name == group:
            raise ConfigError(f"measure {name!r} of group {group!r}: a group has the name of no measure; rename one")
        MEASURES.add(name, Measure(name, summary, group, function, settings, values, version, paper, of_record))
        return function

    return add


@dataclass(frozen=True)
class Request:
    """A measure with all of its settings."""

    measure: Measure
    settings: Mapping[str, Value]

    @property
    def label(self) -> str:
        """A name for columns and people: the measure, and the settings that are not at their default."""
        own = {k: v for k, v in self.settings.items() if v != self.measure.settings[k].default}
        version = "" if self.measure.version == 1 else f"@{self.measure.version}"
        shown = ",".join(f"{key}={value}" for key, value in own.items())
        return f"{self.measure.name}{version}" + (f"[{shown}]" if shown else "")

    @property
    def identity(self) -> dict[str, object]:
        """What a measurement is identified by, beside the weights."""
        return {"measure": self.measure.name, "version": self.measure.version, "settings": dict(self.settings)}


def ask(name: str, given: Mapping[str, object] | None = None) -> Request:
    """Return a measure with settings checked and completed.

    Args:
        name: name of a measure.
        given: name -> value, for settings that are not at their default.

    Raises:
        ConfigError: an unknown measure or setting, or a value that is not valid.

    Example:
        >>> ask("sam_gap", {"rho": "0.1"}).label
        'sam_gap[rho=0.1]'
    """
    found = MEASURES.get(name)
    return Request(found, resolve(f"measure {name!r}", found.settings, given or {}))


def read_requests(texts: Sequence[str]) -> list[Request]:
    """Read what is to be measured: measures and groups, ``sharpness,pgd:epsilon=2``; each once.

    Args:
        texts: names separated by commas, each with settings after colons; of a group, those that a member has.

    Raises:
        ConfigError: all that is wrong, one a line.

    Example:
        >>> [request.label for request in read_requests(["sam_gap,sam_gap:rho=0.1"])]
        ['sam_gap', 'sam_gap[rho=0.1]']
    """
    found: dict[str, Request] = {}
    problems: list[str] = []
    groups = {member.group for member in MEASURES.all()}
    for one in (part.strip() for text in texts for part in text.split(",")):
        name, *pairs = one.split(":")
        given = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
        try:
            if len(given) < len(pairs):
                raise ConfigError(f"{one!r} gives one setting twice; to measure with both, write {name} once for each")
            if name in groups:
                requests = _of_group(name, given)
            elif name in MEASURES:
                requests = [ask(name, given)]
            else:
                raise unknown("measure or group of measures", name, {*MEASURES.names(), *groups})
        except ConfigError as error:
            problems.append(str(error))
            continue
        found |= {canonical_json(request.identity): request for request in requests}
    if problems:
        raise ConfigError("\n".join(problems))
    return list(found.values())


def _of_group(name: str, given: Mapping[str, str]) -> list[Request]:
    """Return all measures of a group, each with those settings that it has."""
    members = [one for one in MEASURES.all() if one.group == name]
    known = {key for one in members for key in one.settings}
    for key in given:
        if key not in known:
            raise unknown("setting", key, known, f"group {name!r}")
    return [ask(one.name, {key: value for key, value in given.items() if key in one.settings}) for one in members]
