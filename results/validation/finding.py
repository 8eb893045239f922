"""A finding: what is wrong, where, and what to do about it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something in a folder of records that breaks a rule, or that a reader has to know.

    Attributes:
        file: path below the folder; where several files have it in common, the first of them and their number.
        value: what was found there.
        problem: what is wrong with it.
        way_out: what to do.
        serious: whether it breaks a rule; the others are warnings.
    """

    file: str
    value: str
    problem: str
    way_out: str
    serious: bool = True

    def __str__(self) -> str:
        return f"{self.file}: {self.value}: {self.problem}. {self.way_out}"


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Put findings that differ only in their file into one that names the first and counts the others.

    Returns:
        Serious findings first, then by file.
    """
    files: dict[Finding, set[str]] = defaultdict(set)
    for finding in findings:
        files[replace(finding, file="")].add(finding.file)
    result = []
    for finding, names in files.items():
        first, *others = sorted(names)
        more = f" and {len(others)} more" if others else ""
        result.append(replace(finding, file=f"{first}{more}"))
    return sorted(result, key=lambda finding: (not finding.serious, finding))
