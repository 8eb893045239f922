"""How much a row may claim: published, reproduced or verified; and what was taken back.

A record makes a row *reproduced*: it ran here. It is *verified* when somebody made its runs again from the same specs
on another machine and got the same result. *Published* numbers never enter a ranking: see :mod:`.published`.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import StateError
from ..statistics.intervals import welch
from .grouping import RunSummary
from .rows import Row

VERIFICATION = "verification"
"""Folder of a store that is itself a store: the records of re-runs, made from the same specs on other machines."""

RETRACTED = "retracted.toml"
"""File of a store that lists the runs that were taken back."""

LEAST_AGAIN = 3
"""Seeds of a row that must have been made again before it counts as verified."""


class Retraction(BaseModel):
    """Runs that no row may count any more. Their records stay: what was claimed must remain readable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: tuple[str, ...] = Field(min_length=1, description="run ids")
    reason: str = Field(min_length=10, description="what is wrong with them, for the board")
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")


def read_retractions(root: str | Path) -> list[Retraction]:
    """Read what a store took back; nothing where it has no such file.

    Raises:
        StateError: the file cannot be read as a list of retractions.
    """
    path = Path(root) / RETRACTED
    if not path.is_file():
        return []
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("retracted", [])
        return [Retraction.model_validate(entry) for entry in entries]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        problem = str(error).replace("\n", " ")
        raise StateError(
            f"{path} is not a list of retractions: {problem:.300}. Each [[retracted]] has runs = [ids], reason and date"
        ) from error


def reasons(retractions: Iterable[Retraction]) -> dict[str, str]:
    """Map each retracted run to why it was taken back, and when."""
    return {run: f"{entry.reason} ({entry.date})" for entry in retractions for run in entry.runs}


def tier(row: Row, runs: Mapping[str, RunSummary], again: Mapping[str, RunSummary]) -> str:
    """Tell whether a row is ``verified`` or ``reproduced``.

    Verified: at least 3 of its runs were made again on another machine; none of these ended otherwise than the first
    time; and the means of both sets are not told apart (Welch's test at 5 %). On one kind of machine the two agree
    to the bit; on different ones rounding makes every run another draw from the same distribution.

    Args:
        row: of a table.
        runs: the runs that it counts, by id.
        again: re-runs, by id.
    """
    pairs = [(runs[run], again[run]) for run in row.runs if run in again and again[run].host != runs[run].host]
    if len(pairs) < LEAST_AGAIN or any(first.status != second.status for first, second in pairs):
        return "reproduced"
    first, second = zip(*((one.accuracy, other.accuracy) for one, other in pairs), strict=True)
    resolution = max(one.resolution for pair in pairs for one in pair)
    return "verified" if welch(first, second, resolution=resolution).p >= 0.05 else "reproduced"
