"""Tiers of evidence (published, reproduced, verified), and retracted runs.

A row with records is *reproduced*: its runs were made here. It is *verified* when its runs were made again, from the
same specs on another machine, with the same result. It is *stale*, whatever it was, when
its variant behaves otherwise today. *Published* numbers never enter a ranking: see :mod:`.published`.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from ...errors import explain
from ...reading import parse_toml, read_text
from ..records.behaviour import Code
from ..records.fields import Frozen, Name, Text
from ..records.store import Damaged, DamagedError
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


class Retraction(Frozen):
    """Runs that no row may count any more. Their records stay, so that past claims remain readable."""

    runs: tuple[Name, ...] = Field(min_length=1, description="run ids")
    reason: Text = Field(min_length=10, description="what is wrong with them, for the board")
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")


def scan_retractions(root: str | Path) -> Iterator[Retraction | Damaged]:
    """Yield the retractions of a store, if it has any, and what is wrong with others; a wrong one hides no other."""
    path = Path(root) / RETRACTED
    if not os.path.lexists(path):
        return
    try:
        content = parse_toml(read_text(path))
    except (OSError, ValueError) as error:
        yield _damaged(path, str(error))
        return
    entries = content.pop("retracted", [])
    if content or not isinstance(entries, list):
        yield _damaged(path, f"unknown key {min(content)!r}" if content else f"retracted={entries!r:.80} is no list")
    for number, entry in enumerate(entries if isinstance(entries, list) else (), 1):
        try:
            yield Retraction.model_validate(entry)
        except ValidationError as error:
            yield _damaged(path, f"number {number}: {'; '.join(explain(error))}")


def read_retractions(root: str | Path) -> list[Retraction]:
    """Read the retractions of a store; an empty list if it has none.

    Raises:
        DamagedError: the file cannot be read as a list of retractions.
    """
    found = list(scan_retractions(root))
    for one in found:
        if isinstance(one, Damaged):
            raise DamagedError(one)
    return [one for one in found if isinstance(one, Retraction)]


def _damaged(path: Path, problem: str) -> Damaged:
    way_out = "Correct it: each [[retracted]] has runs = [ids], reason and date; until then the runs it means are shown"
    return Damaged(path, f"{problem:.300}", "list of retractions", way_out)


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
