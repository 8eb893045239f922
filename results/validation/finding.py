"""A finding: what is wrong, where, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something in a folder of records that breaks a rule, or that a reader has to know.

    Attributes:
        file: path below the folder.
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
