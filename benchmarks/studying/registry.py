"""The registry of studies: a claim with its prediction, and the function that judges it by the runs of a suite."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import ConfigError
from ...registry import Registry
from ...results.statistics.verdicts import Outcome, Verdict
from ..suites.files import AT_SCALE, SUITES
from .evidence import Evidence


@dataclass(frozen=True)
class Part:
    """One case of a claim with its verdict.

    Attributes:
        case: what was compared, as a phrase.
        verdict: what the runs say of it.
    """

    case: str
    verdict: Verdict


@dataclass(frozen=True)
class Finding:
    """What the runs say of a claim.

    Attributes:
        outcome: ``supported``, ``contradicted`` or ``undecided``, in this setting.
        parts: the cases that it rests on, the deciding one first where a single one decides.
    """

    outcome: Outcome
    parts: tuple[Part, ...]


IN_PERCENT = " Percents are of the geometric mean, by the interval of the mean logarithm of the ratio."


@dataclass(frozen=True)
class Study:
    """A claim that is put to a test.

    Attributes:
        name: name in the registry.
        claim: what is claimed, in our words, one sentence.
        papers: where it is claimed: authors, year, arXiv number.
        setting: what is tested here, one or two sentences.
        departs: how that differs from the setting of the papers.
        suite: the suite whose runs decide, a shipped one or a TOML file beside the study's own; its ``[predictions]``
            have a text for this study.
        rule: how the verdict is reached, one sentence.
        function: evidence -> finding.
        unit: of effects: ``points`` (percentage points, of test error if nothing else is said), ``percent``, ``tau``.
        measures: what is measured of the trained networks, as ``sambench measure --what`` takes it; empty for nothing.
        measures_at_scale: the same at the papers' size, where it is something else.
        points: epochs on the way after which it is measured, too, beside the end; the suite keeps those weights.
    """

    name: str
    claim: str
    papers: tuple[str, ...]
    setting: str
    departs: str
    suite: str
    rule: str
    function: Callable[[Evidence], Finding]
    unit: str = "points"
    measures: str = ""
    measures_at_scale: str = ""
    points: tuple[int, ...] = ()

    @property
    def stated_rule(self) -> str:
        """Its rule, with what holds for every one in percent."""
        return f"{self.rule}{IN_PERCENT if self.unit == 'percent' else ''}"

    @property
    def place(self) -> str:
        """Its suite as commands take it: the name of a shipped one, or the path of the file beside the study's own.

        Raises:
            ConfigError: there is neither.
        """
        if self.suite in SUITES.names():
            return self.suite
        beside = Path(inspect.getfile(self.function)).with_name(f"{self.suite}.toml")
        if not beside.is_file():
            raise ConfigError(
                f"study {self.name!r} rests on suite {self.suite!r}, which sambench does not ship, and there is no "
                f"file {beside}: write the suite there, beside the study"
            )
        return str(beside)

    @property
    def scaled(self) -> str:
        """What the suite is at the papers' size, by its table ``[at_scale]``; empty if it has none."""
        shipped = self.suite in SUITES.names()  # only those go by a second name
        return f"{self.suite}{AT_SCALE}" if shipped and "at_scale" in SUITES.parse(self.suite)[1] else ""

    @property
    def summary(self) -> str:
        """The claim, for lists."""
        return self.claim


STUDIES: Registry[Study] = Registry("study", f"{__name__.split('.studying')[0]}.studies")


def study(
    name: str,
    claim: str,
    *,
    papers: tuple[str, ...],
    setting: str,
    departs: str,
    suite: str,
    rule: str,
    unit: str = "points",
    measures: str = "",
    measures_at_scale: str = "",
    points: tuple[int, ...] = (),
) -> Callable[[Callable[[Evidence], Finding]], Callable[[Evidence], Finding]]:
    """Register the function below as the judge of a study; arguments as of :class:`Study`.

    Raises:
        ConfigError: the name is taken.
    """

    def add(function: Callable[[Evidence], Finding]) -> Callable[[Evidence], Finding]:
        at_scale = measures_at_scale or measures
        about = (claim, papers, setting, departs, suite, rule, function, unit, measures, at_scale, points)
        STUDIES.add(name, Study(name, *about))
        return function

    return add
