"""Runs that no row counts any more, and why: ``retracted.toml`` of a store."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from ...errors import explain
from ...reading import parse_toml, read_text
from .fields import Digest, Frozen, Text
from .store import Damaged, DamagedError

RETRACTED = "retracted.toml"
"""File of a store that lists the retracted runs."""


class Retraction(Frozen):
    """Runs that no row may count any more. Their records stay, so that past claims remain readable."""

    runs: tuple[Digest, ...] = Field(min_length=1, description="run ids, whole")
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
