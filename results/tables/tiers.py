"""Tiers of evidence: published, reproduced, verified, stale.

A row with records is *reproduced*: its runs were made here. It is *verified* when runs of it were made again, from
the same specs on another machine, and the means of both are not told apart. It is *stale*, whatever it was, when its
variant behaves otherwise today. *Published* numbers never enter a ranking: see :mod:`.published`.
"""

from collections.abc import Mapping

from ..records.behaviour import Code
from ..statistics.intervals import welch
from .grouping import RunSummary
from .rows import Row

VERIFICATION = "verification"
"""Subfolder of a store, itself a store, with the records of re-runs: the same specs on other machines."""

LEAST_AGAIN = 3
"""Number of runs of a row that must have been made again for it to count as verified."""

STALE = "stale"
"""Tier of a row whose variant behaves otherwise today than when its runs were made."""


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
    pairs = [(runs[run], again[run]) for run in row.runs if run in again and again[run].machine != runs[run].machine]
    if len(pairs) < LEAST_AGAIN or any(first.status != second.status for first, second in pairs):
        return "reproduced"
    first, second = zip(*((one.accuracy, other.accuracy) for one, other in pairs), strict=True)
    resolution = max(one.resolution for pair in pairs for one in pair)
    return "verified" if welch(first, second, resolution=resolution).p >= 0.05 else "reproduced"
