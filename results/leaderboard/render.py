"""The leaderboard: renders a store as one Markdown text, the same bytes for the same records in any order."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...atomic import atomic_write_bytes, make_folder
from ...errors import StateError
from ...markdown import code, count, escape, lines, table
from ..records.conformance import Checks
from ..tables.boards import Board, Boards, Section
from ..tables.comparability import protocol
from ..tables.cross_workload import across_workloads
from ..tables.published import VALUE, Source, by_source
from .cells import COLUMNS, EDGE, LEFT, UNVERIFIED, cells
from .footnotes import exclusions, notes, origin, track_text
from .measured import measured

COMMAND = "sambench leaderboard"

REFERENCE = (
    "Settings of their own, epochs included, which no tuning chose and no budget holds equal: for orientation, in no "
    "group and compared with nothing."
)

_HOW_TO_READ = f"""\
- **Group**: rows that share a letter are not told apart by these runs (all pairs at 5 %: Tukey, Games-Howell where
  the variances differ, both where that is unsure). The order within a group means nothing. A row of fewer than three
  runs, or without a run that completed, has no group.
- **Error**: mean over seeds of the test error at the last epoch ± half the 95 % t-interval. A run that diverged
  counts with the error of guessing. **n**: runs.
- **vs sgd, vs sam**: difference of the mean errors in points with its 95 % interval, negative where the row is better:
  within the seed where both rows have five seeds in common, which then share weights, order and augmentation, else
  Welch's, and none below three runs. Each interval holds for itself; groups judge all pairs at once. Of several rows of
  a baseline, the best one is meant. `sambench compare` tells any two rows apart, or says that these runs do not.
- **Grad. evals**: forward and backward passes over one full batch, as counted, mean over the runs that completed;
  **ms / eval**: training time over gradient evaluations, everything but evaluation included; **Memory**: largest peak
  of a run, on CUDA of the allocator, on the CPU of the whole process.
- **Checks**: ✓ passes the conformance suite, ✗ names what fails. **Tier**: *reproduced* ran here, *verified* was run
  again from the same specs on another machine with the same result, *stale* was made by a rule that behaves otherwise
  today (`docs/rules.md`).
- {UNVERIFIED} a reimplementation that nothing has verified yet; {EDGE} a tuned value at the edge of its range."""


def render(boards: Boards, checks: Checks | None = None, published: Iterable[Mapping[str, Any]] = ()) -> str:
    """Write the leaderboard.

    Args:
        boards: the tables of a store, as :func:`~sambench.results.tables.boards.gather` returns them.
        checks: variant -> conformance check -> result, for the column of marks.
        published: published numbers, for the last section, as
            :func:`~sambench.results.tables.published.by_source` takes them.

    Returns:
        Markdown that ends in a newline; it depends on the arguments only.
    """
    shown = [board for board in boards.boards if board.sections]
    parts = [
        "# Leaderboard",
        f"What was measured, method by method. `{COMMAND}` builds this file from the records of the store: it is a "
        "build product, and an edit is lost with the next build.",
    ]
    if ranked := boards.sections:
        runs = sum(board.runs for board in shown)
        workloads = len({section.workload.key for section in ranked})
        parts.append(f"{_HOW_TO_READ}\n\nBelow: {count(runs, 'run')} on {count(workloads, 'workload')}.")
    else:
        parts.append(
            "There is no finished run in the store yet. Train some with `sambench quickstart` (a few minutes), "
            f"`sambench run` or `sambench launch SUITE`, then run `{COMMAND}` again."
        )
    for board in shown:
        parts += _board(board, checks or {})
    if ranked:
        parts += across_workloads([section for section in ranked if not section.reference])
    if boards.damaged:
        damaged = [escape(f"{item.name}: {item.problem[:200]}") for item in boards.damaged]
        parts += ["## Files that cannot be read", _list(damaged)]
    if boards.search:
        parts.append(
            f"{count(boards.search, 'search run')} chose hyper-parameters and {'is' if boards.search == 1 else 'are'} "
            "not ranked: the best of many trials looks better than it is."
        )
    if sources := by_source(published):
        parts += [
            "## Published numbers",
            "What others printed, as each variant declares it. Nothing here ran in this suite, and nothing here is "
            "ranked: no two sources share a protocol, so compare within one only. Spreads are the sources' own, over "
            "seeds; what a source gives as an error stands here as an accuracy.",
            *(part for source in sources for part in _published(source)),
        ]
    return "\n\n".join(parts) + "\n"


def write(text: str, path: str | Path) -> None:
    """Write the text of a leaderboard to a file, whole or not at all.

    Raises:
        StateError: the file cannot be written.
    """
    make_folder(Path(path).parent)
    atomic_write_bytes(path, text.encode())


def check(text: str, path: str | Path, command: str = COMMAND) -> None:
    """Check that a file holds this text, byte for byte.

    Args:
        text: the text of the leaderboard.
        path: the file to compare with it.
        command: the command that writes the file, for error messages.

    Raises:
        StateError: it is missing or stale; the message shows the first differences and the way out.
    """
    path = Path(path)
    expected = text.encode()
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        raise StateError(f"{path} does not exist; `{command}` writes it") from None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}") from error
    if found != expected:
        raise StateError(f"{path} is stale; `{command}` writes it anew. It differs in:\n{_changes(found, expected)}")


def _board(board: Board, checks: Checks) -> list[str]:
    manifest = board.manifest
    parts = [f"## {escape(manifest.title)}"] if manifest else ["## Other runs"]
    if manifest and manifest.description:
        parts.append(lines(manifest.description))
    parts.append(origin(board))
    for section in board.sections:
        if section.workload.rows:
            parts += _section(section, checks)
    if left_out := exclusions(board):
        parts += ["### Excluded, and why", _list(left_out)]
    return parts


def _section(section: Section, checks: Checks) -> list[str]:
    workload, track = section.workload, section.track
    rows = [list(cells(row, section, checks).values()) for row in workload.rows]
    return [
        f"### {escape(workload.title)}{f': track {track.name}' if track else ': reference rows' * section.reference}",
        *([track_text(track, workload.rows)] if track else [REFERENCE] if section.reference else []),
        f"All runs: {code(protocol(workload.shared | workload.common))}",
        table(COLUMNS, rows, LEFT),
        _list(notes(section)),
        *measured(section),
    ]


def _published(source: Source) -> list[str]:
    shared = ". ".join(f"{heading}: {text}" for heading, text in source.shared.items())
    left = [heading for heading in source.columns if heading != VALUE]
    text = table(source.columns, [[cell or "–" for cell in row] for row in source.rows], left)
    return [f"### {escape(source.name)}", *([escape(f"{shared}.")] if shared else []), text]


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _changes(found: bytes, expected: bytes, most: int = 20) -> str:
    there, wanted = found.decode(errors="replace").splitlines(), expected.decode().splitlines()
    lines = difflib.unified_diff(there, wanted, "there", "should be", n=0, lineterm="")
    changes = [line for line in lines if not line.startswith("@@")]
    more = [f"... and {len(changes) - most} more lines"] if len(changes) > most else []
    return "\n".join([*changes[:most], *more]) or "the ends of its lines"
