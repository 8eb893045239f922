"""A finding of the validation: what is wrong, where, and how to repair it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something in a folder of records that breaks a rule or deserves a warning.

    Attributes:
        file: path relative to the folder; for a finding in several files, the first of them and the number of others.
        value: the value that was found there.
        problem: what is wrong with it.
        way_out: how to repair it, as an imperative sentence.
        serious: whether it breaks a rule; otherwise it is a warning.
    """

    file: str
    value: str
    problem: str
    way_out: str
    serious: bool = True

    def __str__(self) -> str:
        return f"{self.file}: {self.value}: {self.problem}. {self.way_out}"


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings that differ only in their file into one that names the first file and counts the others.

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
