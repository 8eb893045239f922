"""Where the files of a leaderboard lie, and the links from one to another."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...markdown import Markdown, link

FRONT = "LEADERBOARD.md"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of a leaderboard go.

    Attributes:
        front: the first page.
        folder: folder of the other pages and of the figure, which holds nothing else.
        cards: folder of the pages of variants.
        carded: variants that have a page there.
    """

    front: Path = Path(FRONT)
    folder: Path = Path("boards")
    cards: Path = Path("docs", "variants")
    carded: frozenset[str] = frozenset()

    @classmethod
    def of(cls, results: Path, front: Path | None = None) -> "Place":
        """Find the place of the board of a results folder; names link to cards where they lie beside the first page.

        Args:
            results: the results folder.
            front: the first page, by default in that folder.
        """
        front = front or results / FRONT
        cards = front.parent / "docs" / "variants"
        return cls(front, results / "boards", cards, frozenset(path.stem for path in cards.glob("*.md")))

    def variant(self, page: Path, text: str, name: str) -> str:
        """Link the text of a row to the card of its variant, if there is one."""
        return link_from(page, text, self.cards / f"{name}.md") if name in self.carded else text


def link_from(page: Path, text: str, target: Path) -> Markdown:
    """Link from a page to another file."""
    return link(text, _relative(os.path.abspath(target), os.path.abspath(page.parent)))


@lru_cache(maxsize=4096)
def _relative(target: str, folder: str) -> str:
    return Path(os.path.relpath(target, folder)).as_posix()


def names(wanted: Iterable[str], taken: Iterable[str]) -> list[str]:
    """Make names of files that differ from each other and from those taken, by a number where they would not."""
    used, found = set(taken), []
    for name in wanted:
        one, number = name or "suite", 2
        while one in used:
            one, number = f"{name}-{number}", number + 1
        used.add(one)
        found.append(one)
    return found
