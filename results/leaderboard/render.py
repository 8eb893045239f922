"""The leaderboard: renders a store as a few pages, the same bytes for the same records in any order."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...atomic import atomic_write_bytes, make_folder
from ...errors import StateError
from ...markdown import escape, table
from ..records.conformance import Checks
from ..tables.boards import Boards
from ..tables.comparability import file_name
from ..tables.cross_workload import across_workloads, nothing_across
from ..tables.published import VALUE, Source, by_source
from .front import COMMAND, FIGURE, figure, front_page, in_order
from .place import Place, link_from, names
from .suite_page import BACK, suite_page

ACROSS, PUBLISHED, NO_SUITE = "across-workloads", "published-numbers", "no-suite"
"""Names of the pages that belong to no suite."""


def render(
    boards: Boards,
    checks: Checks | None = None,
    published: Iterable[Mapping[str, Any]] = (),
    place: Place | None = None,
) -> dict[Path, str]:
    """Write the leaderboard.

    Args:
        boards: the tables of a store, as :func:`~sambench.results.tables.boards.gather` returns them.
        checks: variant -> conformance check -> result, for the column of marks.
        published: published numbers, for a page of their own, and beside the rows of the same method, network and data;
            as :func:`~sambench.results.tables.published.by_source` takes them.
        place: where the files will lie.

    Returns:
        File -> its text: the first page, a page for each suite, the figure. They depend on the arguments only.
    """
    place, published = place or Place(), list(published)
    shown = in_order([board for board in boards.boards if board.sections])
    wanted = [file_name(board.manifest.name) if board.manifest else NO_SUITE for board in shown]
    stems = names(wanted, (ACROSS, PUBLISHED))
    pages = {id(board): place.folder / f"{stem}.md" for board, stem in zip(shown, stems, strict=True)}
    found = {(page := pages[id(board)]): suite_page(board, checks or {}, page, place, published) for board in shown}
    beside, compared = list[str](), [section for section in boards.sections if not section.reference]
    if across := across_workloads(compared):
        path = place.folder / f"{ACROSS}.md"
        found[path] = _page("Across workloads", across, path, place)
        beside.append(link_from(place.front, "Across workloads", path))
    elif compared:
        beside.append(nothing_across(compared))
    if sources := by_source(published):
        path = place.folder / f"{PUBLISHED}.md"
        found[path] = _page("Published numbers", _published_page(sources), path, place)
        beside.append(link_from(place.front, "Published numbers, which nothing here is ranked by", path))
    if drawn := figure(boards):
        found[place.folder / FIGURE] = drawn
    return {place.front: front_page(boards, pages, beside, place), **found}


def write(pages: Mapping[Path, str]) -> None:
    """Write the files of a leaderboard, each whole or not at all.

    Raises:
        StateError: a file cannot be written.
    """
    for path, text in pages.items():
        make_folder(path.parent)
        atomic_write_bytes(path, text.encode())


def check(pages: Mapping[Path, str], command: str = COMMAND) -> None:
    """Check that the files of a leaderboard hold these texts, byte for byte, and that none is left from another one.

    Args:
        pages: file -> text, the first page first.
        command: the command that writes the files, for error messages.

    Raises:
        StateError: one is missing, stale or left over; the message shows the first differences and the way out.
    """
    for path, text in pages.items():
        _check(text, path, command)
    front, *others = pages
    folders = {path.parent for path in others} - {front.parent}
    for path in sorted(path for folder in folders for path in folder.iterdir() if path.suffix in (".md", ".svg")):
        if path not in pages:
            raise StateError(f"{path} is no part of this leaderboard, which writes that folder; delete it")


def _check(text: str, path: Path, command: str) -> None:
    expected = text.encode()
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        raise StateError(f"{path} does not exist; `{command}` writes it") from None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}") from error
    if found != expected:
        raise StateError(f"{path} is stale; `{command}` writes it anew. It differs in:\n{_changes(found, expected)}")


def _page(title: str, parts: list[str], path: Path, place: Place) -> str:
    return "\n\n".join([f"# {title}", link_from(path, BACK, place.front), *parts]) + "\n"


def _published_page(sources: Iterable[Source]) -> list[str]:
    return [
        "What others printed, as each variant declares it. Nothing here ran in this suite, and nothing here is "
        "ranked: no two sources share a protocol, so compare within one only. Spreads are the sources' own, over "
        "seeds; what a source gives as an error stands here as an accuracy.",
        *(part for source in sources for part in _published(source)),
    ]


def _published(source: Source) -> list[str]:
    shared = ". ".join(f"{heading}: {text}" for heading, text in source.shared.items())
    left = [heading for heading in source.columns if heading != VALUE]
    text = table(source.columns, [[cell or "–" for cell in row] for row in source.rows], left)
    return [f"## {escape(source.name)}", *([escape(f"{shared}.")] if shared else []), text]


def _changes(found: bytes, expected: bytes, most: int = 20) -> str:
    there, wanted = found.decode(errors="replace").splitlines(), expected.decode().splitlines()
    lines = difflib.unified_diff(there, wanted, "there", "should be", n=0, lineterm="")
    changes = [line for line in lines if not line.startswith("@@")]
    more = [f"... and {len(changes) - most} more lines"] if len(changes) > most else []
    return "\n".join([*changes[:most], *more]) or "the ends of its lines"
