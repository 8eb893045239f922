"""Claims that are not put to a test here, each with the reason."""

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

NOT_ASKED = "not asked here"
_FILE = Path(__file__).parents[1] / "studies" / "not_asked.toml"


class NotAsked(NamedTuple):
    """A claim without a test.

    Attributes:
        name: as a study would be called.
        claim: what is claimed, in our words, one sentence.
        papers: where it is claimed.
        why: why there is no honest test of it at this size, or without what.
        takes: what a test takes.
    """

    name: str
    claim: str
    papers: tuple[str, ...]
    why: str
    takes: str


@cache
def not_asked() -> tuple[NotAsked, ...]:
    """Read these claims, in the order of their names."""
    found = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(
        NotAsked(name, one["claim"], tuple(one["papers"]), one["why"], one["takes"])
        for name, one in sorted(found.items())
    )
