"""STUDIES.md: every claim with what the committed runs say of it, the same bytes for the same records."""

from ...errors import ConfigError
from ...markdown import escape, link, table
from ...results.statistics.verdicts import Verdict
from ...results.tables.boards import Boards
from ..suites.suite import load_suite
from .evidence import Evidence, MissingError
from .registry import STUDIES, Finding, Study

COMMAND = "sambench study page"
WORDS = {
    "supported": "supported here",
    "contradicted": "contradicted here",
    "undecided": "undecided",
}
NOT_RUN = "not run yet"


def findings(boards: Boards) -> list[tuple[Study, Finding | None]]:
    """Judge all studies by the tables of a store, in the order of their names; ``None`` for runs to be made."""
    return [(one, judge(one, Evidence(boards, one.suite))) for one in STUDIES.all()]


def judge(one: Study, evidence: Evidence) -> Finding | None:
    """Judge one study; ``None`` if its runs are not all there."""
    try:
        return one.function(evidence)
    except MissingError:
        return None


def prediction(one: Study) -> str:
    """Return what a study predicted, as its suite says it and the manifest keeps it.

    Raises:
        ConfigError: the suite has no prediction of this study.
    """
    predictions = load_suite(one.place).predictions
    if one.name not in predictions:
        raise ConfigError(f"suite {one.suite!r} has no prediction of study {one.name!r}: write it under [predictions]")
    return predictions[one.name]


def interval(verdict: Verdict, unit: str = "points") -> str:
    """Write an estimate with its interval.

    Example:
        >>> interval(Verdict("supported", 1.234, 0.9, 1.6, 10, 4, 0.95, "more than 0.5"))
        '+1.23 points (95 % interval +0.90 to +1.60, 10 seeds)'
    """
    ends = f"{verdict.low:+.2f} to {verdict.high:+.2f}"
    level = f"{100 * verdict.level:.3g} % interval"
    return f"{verdict.estimate:+.2f} {unit} ({level} {ends}, {verdict.n} seeds)".replace("-", "−")


def headline(one: Study, finding: Finding | None) -> str:
    """Return one line on a study: its verdict, the numbers of the first case that says the same, and what it needed."""
    if finding is None:
        return NOT_RUN
    first = next((part for part in finding.parts if part.verdict.outcome == finding.outcome), finding.parts[0])
    needs = first.verdict.needs.replace("-", "−")
    return f"{WORDS[finding.outcome]}: {first.case} {interval(first.verdict, one.unit)}, needed: {needs}"


BEGIN, END = "<!-- what follows is written by sambench study page -->", "<!-- until here -->"
MOST = 5
"""Studies in a summary."""
ASKED_MOST = (
    "label_noise", "equal_cost", "unified_grid", "normalization", "m_sharpness", "flatness", "cheaper_rules",
    "robustness",
)  # fmt: skip
"""Studies of what people ask first: they stand before the others in a summary."""


def summary(found: list[tuple[Study, Finding | None]]) -> str:
    """Write one line a study that has a verdict, those that decide first, at most :data:`MOST`."""

    def place(pair: tuple[Study, Finding]) -> tuple[bool, int]:
        (one, finding), last = pair, len(ASKED_MOST)
        return finding.outcome == "undecided", ASKED_MOST.index(one.name) if one.name in ASKED_MOST else last

    judged = sorted(((one, f) for one, f in found if f), key=place)
    return "\n".join(f"- {escape(one.claim)} **{_capital(headline(one, f))}.**" for one, f in judged[:MOST])


def with_summary(text: str, found: list[tuple[Study, Finding | None]]) -> str:
    """Put the summary into a page, between its two marks.

    Raises:
        ConfigError: the page does not have them.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ConfigError(f"the page lacks the lines between which a summary stands: {BEGIN!r} and {END!r}")
    return f"{head}{begin}\n\n{summary(found)}\n\n{end}{tail}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def page(found: list[tuple[Study, Finding | None]]) -> str:
    """Write the page: an overview, then a section a study."""
    overview = [[link(one.name, "", one.name), one.claim, WORDS[f.outcome] if f else NOT_RUN] for one, f in found]
    columns = ["study", "claim", "verdict"]
    parts = [
        "# Studies",
        f"Claims of the literature, each put to a test that was written down before its runs. `{COMMAND}` builds this "
        "page from the records in `results/`. A verdict holds for the setting that its study names and for no other: "
        "*supported* where the whole interval lies beyond the margin that the prediction names, *contradicted* where "
        "all of it lies short of the margin, else *undecided*. A claim on several cases is judged case by case, each "
        "at 1 - .05 / number of cases, and its rule says how many of them it needs. *Seeds that would decide* takes "
        "estimate and spread for true; with so many, one in two such studies would decide.",
        table(columns, overview, columns),
        *(section(one, finding) for one, finding in found),
    ]
    return "\n\n".join(parts) + "\n"


def section(one: Study, finding: Finding | None) -> str:
    """Write what a study asks, predicted and found."""
    facts = [
        f"- **Claim**: {escape(one.claim)} ({escape('; '.join(one.papers))}).",
        f"- **Tested here**: {escape(one.setting)}",
        f"- **Differs from the papers**: {escape(one.departs)}",
        f"- **Predicted before the runs** (suite `{one.suite}`): {escape(prediction(one))}",
        f"- **Rule**: {escape(one.rule)}",
        f"- **Verdict**: {f'**{WORDS[finding.outcome]}**' if finding else NOT_RUN}.",
    ]
    if one.measures:
        facts.append(f"- **Measured**: `sambench measure {one.suite} --what {one.measures}`.")
    if one.scaled:
        facts.append(f"- **At the papers' size**: suite `{one.scaled}`, on GPUs.")
    parts = [f"## {one.name}", "\n".join(facts)]
    if finding:
        parts.append(_cases(finding, one.unit))
    return "\n\n".join(parts)


def _cases(finding: Finding, unit: str) -> str:
    columns = ["case", f"effect, {unit}", "interval", "level", "seeds", "needed", "verdict", "seeds that would decide"]
    rows = [
        [
            part.case,
            f"{part.verdict.estimate:+.2f}".replace("-", "−"),
            f"{part.verdict.low:+.2f} to {part.verdict.high:+.2f}".replace("-", "−"),
            f"{100 * part.verdict.level:.3g} %",
            str(part.verdict.n),
            part.verdict.needs.replace("-", "−"),
            part.verdict.outcome,
            "–" if part.verdict.outcome != "undecided" else str(part.verdict.needed or "more than 10,000"),
        ]
        for part in finding.parts
    ]
    return table(columns, rows, ["case", "verdict"])
