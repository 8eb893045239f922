"""Tiers of evidence (published, reproduced, verified), and retracted runs.

A row with records is *reproduced*: its runs were made here. It is *verified* when its runs were made again, from the
same specs on another machine, with the same result. It is *stale*, whatever it was, when
its variant behaves otherwise today. *Published* numbers never enter a ranking: see :mod:`.published`.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import StateError, explain
from ..records.behaviour import Code
from ..statistics.intervals import welch
from .grouping import RunSummary
from .rows import Row

VERIFICATION = "verification"
"""Subfolder of a store, itself a store, with the records of re-runs: the same specs on other machines."""

RETRACTED = "retracted.toml"
"""File of a store that lists the retracted runs."""

LEAST_AGAIN = 3
"""Number of runs of a row that must have been made again for it to count as verified."""


STALE = "stale"
"""Tier of a row whose variant behaves otherwise today than when its runs were made."""


class Retraction(BaseModel):
    """Runs that no row may count any more. Their records stay, so that past claims remain readable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: tuple[str, ...] = Field(min_length=1, description="run ids")
    reason: str = Field(min_length=10, description="what is wrong with them, for the board")
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")


def read_retractions(root: str | Path) -> list[Retraction]:
    """Read the retractions of a store; an empty list if it has none.

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
        problem = "; ".join(explain(error)) if isinstance(error, ValidationError) else str(error)
        raise StateError(
            f"{path} is not a list of retractions: {problem:.300}. Each [[retracted]] has runs = [ids], reason and date"
        ) from error


def reasons(retractions: Iterable[Retraction]) -> dict[str, str]:
    """Map the id of each retracted run to the reason and date of its retraction."""
    return {run: f"{entry.reason} ({entry.date})" for entry in retractions for run in entry.runs}


def tier(
    row: Row, runs: Mapping[str, RunSummary], again: Mapping[str, RunSummary], today: Mapping[str, Code] | None = None
) -> str:
    """Tell whether a row is ``verified``, ``reproduced`` or ``stale``.

    Verified: at least 3 of its runs were made again on another machine; each of these has the same status as the first
    time; and the means of both sets do not differ significantly (Welch's test at 5 %). On one kind of machine a re-run
    agrees to the bit; on different ones rounding makes every run another draw from the same distribution.

    Args:
        row: the row of a table.
        runs: run id -> summary, for the runs that the row counts.
        again: run id -> summary of the re-run.
        today: variant -> its code as it is; a row of a variant that is not in it is not judged by it.
    """
    if (now := (today or {}).get(row.variant)) and any(now.differs(code) for code in row.codes):
        return STALE
    pairs = [(runs[run], again[run]) for run in row.runs if run in again and again[run].host != runs[run].host]
    if len(pairs) < LEAST_AGAIN or any(first.status != second.status for first, second in pairs):
        return "reproduced"
    first, second = zip(*((one.accuracy, other.accuracy) for one, other in pairs), strict=True)
    resolution = max(one.resolution for pair in pairs for one in pair)
    return "verified" if welch(first, second, resolution=resolution).p >= 0.05 else "reproduced"
