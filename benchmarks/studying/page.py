"""STUDIES.md: every claim with what the committed runs say of it, the same bytes for the same records."""

import re

from ...errors import ConfigError
from ...markdown import escape, link, table
from ...results.statistics.verdicts import Verdict
from .judging import NOT_JUDGED, WORDS, Judgement
from .registry import Finding

COMMAND = "sambench study page"
DIVERGED = "Such runs count as guessing where test errors are compared; what is measured of networks leaves them out."


def interval(verdict: Verdict, unit: str = "points") -> str:
    """Write an estimate with its interval.

    Example:
        >>> interval(Verdict("supported", 1.234, 0.9, 1.6, 10, 4, 0.95, "more than 0.5"))
        '+1.23 points (95 % interval +0.90 to +1.60, 10 seeds)'
    """
    ends = f"{verdict.low:+.2f} to {verdict.high:+.2f}"
    level = f"{100 * verdict.level:.3g} % interval"
    return f"{verdict.estimate:+.2f} {unit} ({level} {ends}, {verdict.n} seeds)".replace("-", "−")


def headline(one: Judgement) -> str:
    """Return one line on a study: its verdict, the numbers of the first case that says the same, and what it needed."""
    if one.finding is None:
        return one.verdict
    parts = one.finding.parts
    first = next((part for part in parts if part.verdict.outcome == one.finding.outcome), parts[0])
    needs = first.verdict.needs.replace("-", "−")
    numbers = interval(first.verdict, one.study.unit).removesuffix(")")
    return f"{one.verdict} ({first.case}): {numbers}; needed: {needs})"


BEGIN, END = "<!-- what follows is written by sambench study page -->", "<!-- until here -->"
MOST = 5
"""Studies in a summary."""
ASKED_MOST = (
    "label_noise", "equal_cost", "unified_grid", "normalization", "m_sharpness", "flatness", "cheaper_rules",
    "robustness",
)  # fmt: skip
"""Studies of what people ask first: they stand before the others in a summary."""


def summary(found: list[Judgement]) -> str:
    """Write one line a study that has a verdict, those that decide first, at most :data:`MOST`.

    One that contradicts a paper says how its setting differs before it says what came out.
    """

    def place(one: Judgement) -> tuple[bool, int]:
        name, last = one.study.name, len(ASKED_MOST)
        return one.verdict == WORDS["undecided"], ASKED_MOST.index(name) if name in ASKED_MOST else last

    judged = sorted((one for one in found if one.finding), key=place)
    return "\n".join(f"- {_line(one)}" for one in judged[:MOST])


def _line(one: Judgement) -> str:
    first = re.split(r"(?<!et al)\. ", one.study.departs, maxsplit=1)[0].rstrip(".")
    differs = f"{first}. " * (one.verdict == WORDS["contradicted"])
    return f"{escape(f'{one.study.claim} {differs}'.strip())} **{_capital(headline(one))}.**"


def with_summary(text: str, found: list[Judgement]) -> str:
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


def page(found: list[Judgement]) -> str:
    """Write the page: an overview, then a section a study."""
    overview = [[link(one.study.name, "", one.study.name), one.study.claim, one.verdict] for one in found]
    columns = ["study", "claim", "verdict"]
    parts = [
        "# Studies",
        f"Claims of the literature, each put to a test that was written down before its runs. `{COMMAND}` builds this "
        "page from the records in `results/`, with each prediction as it was written down, and `sambench validate` "
        "checks that this was before every run of its suite. A verdict holds for the setting that its study names and "
        "for no other: *supported* where the whole interval lies beyond the margin that the prediction names, "
        "*contradicted* where all of it lies short of the margin, else *undecided*. A claim on several cases is "
        "judged case by case, each at 1 - .05 / number of cases, and its rule says how many of them it needs. *Seeds "
        "that would decide* takes estimate and spread for true; with so many, one in two such studies would decide.",
        table(columns, overview, columns),
        *map(section, found),
    ]
    return "\n\n".join(parts) + "\n"


def section(judged: Judgement) -> str:
    """Write what a study asks, predicted and found."""
    one, finding = judged.study, judged.finding
    heading = "Predicted before the runs" if judged.registered else "Prediction"
    facts = [
        f"- **Claim**: {escape(one.claim)} ({escape('; '.join(one.papers))}).",
        f"- **Tested here**: {escape(one.setting)}",
        f"- **Differs from the papers**: {escape(one.departs)}",
        f"- **{heading}** (suite `{one.suite}`): {escape(judged.prediction)}",
        f"- **Rule**: {escape(one.stated_rule)}",
        f"- **Verdict**: {f'**{judged.verdict}**' if finding else judged.verdict}.",
    ]
    if judged.verdict == NOT_JUDGED:
        facts[-1] = f"- **Verdict**: {judged.verdict}: {escape(judged.reason)}."
    if judged.diverged:
        facts.append(f"- **Diverged**: {escape(', '.join(judged.diverged))}. {DIVERGED}")
    if one.measures:
        points = f", and with `--epoch` {', '.join(map(str, one.points))}" if one.points else ""
        facts.append(f"- **Measured**: `sambench measure {one.suite} --what {one.measures}`{points}.")
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
