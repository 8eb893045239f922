"""The leaderboard: records to one Markdown text, the same bytes for the same records in any order."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import StateError
from .files import atomic_write_bytes, make_folder
from .record import RunRecord
from .store import Damaged, Store
from .summary import VERIFIED, Excluded, Row, Workload, summarize
from .workloads import chooses_hyper, protocol
from .workloads import write as write_value

COLUMNS = (
    "Group",
    "Variant",
    "Settings",
    "Accuracy, %",
    "n",
    "Grad. evals",
    "Time, s",
    "ms / eval",
    "Diverged",
)
_LEFT = {"Group", "Variant", "Settings"}
_MARK = "†"

_HOW_TO_READ = f"""\
- **Group**: rows that share a letter are not told apart by these runs (all pairs at 5 %: Tukey, Games-Howell where
  the variances differ, both where that is unsure). The order within a group means nothing. A single run, or a row
  without a run that completed, has no group.
- **Accuracy**: mean over seeds of the test accuracy at the last epoch ± half the 95 % t-interval. A run that
  diverged counts with the accuracy of guessing.
- **Grad. evals**: forward and backward passes over one full batch, as counted, mean over the runs that completed;
  **ms / eval** is training time over gradient evaluations, everything but evaluation included.
- {_MARK} a reimplementation that nothing has verified yet."""


def render(records: Iterable[RunRecord | Damaged], command: str = "sambench leaderboard") -> str:
    """Write the leaderboard of some records.

    Args:
        records: in any order; files that could not be read are listed as excluded, by their names.
        command: what generates this text, for its header.

    Returns:
        Markdown, ending in a newline: a function of the records and the command alone.
    """
    damaged: list[Damaged] = []
    search: list[str] = []
    workloads = summarize(_sort_out(records, damaged, search))
    ranked = [workload for workload in workloads if workload.rows]
    runs = sum(row.n for workload in ranked for row in workload.rows)
    parts = [
        "# Leaderboard",
        f"What was measured, method by method. `{command}` builds this file from the records of the store: it is a "
        "build product, and an edit is lost with the next build.",
    ]
    if ranked:
        parts += [
            f"{_HOW_TO_READ}\n\nRanked below: {_count(runs, 'run')} on {_count(len(ranked), 'workload')}.",
            *(_section(workload) for workload in ranked),
        ]
    else:
        parts.append(
            "There is no finished run in the store yet. Train some with `sambench quickstart` (two minutes), "
            f"`sambench run` or `sambench launch SUITE`, then run `{command}` again."
        )
    parts += _excluded(workloads, damaged)
    if search:
        parts.append(
            f"{_count(len(search), 'search run')} chose hyper-parameters and {'is' if len(search) == 1 else 'are'} "
            "not ranked: the best of many trials looks better than it is."
        )
    return "\n\n".join(parts) + "\n"


def write(store: Store, path: str | Path, command: str = "sambench leaderboard") -> str:
    """Write the leaderboard of a store to a file, and return its text.

    Raises:
        StateError: the file cannot be written.
    """
    text = render(store.scan(), command)
    make_folder(Path(path).parent)
    atomic_write_bytes(path, text.encode())
    return text


def check(store: Store, path: str | Path, command: str = "sambench leaderboard") -> None:
    """Make sure that a file is the leaderboard of the store, byte for byte.

    Raises:
        StateError: it is missing or stale; the message shows the first differences and the way out.
    """
    path = Path(path)
    expected = render(store.scan(), command).encode()
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        raise StateError(f"{path} does not exist; `{command}` writes it") from None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}") from error
    if found != expected:
        raise StateError(f"{path} is stale; `{command}` writes it anew. It differs in:\n{_changes(found, expected)}")


def cells(row: Row) -> tuple[str, ...]:
    """Write a row as the texts of its :data:`COLUMNS`, without padding."""
    mean = f"{100 * row.accuracy:.2f}"
    half = " (n = 1)" if row.low is None else f" ± {100 * (row.accuracy - row.low):.2f}"
    return (
        row.group or "–",
        row.name + ("" if row.status == VERIFIED else f" {_MARK}"),
        " ".join(f"{key}={write_value(value)}" for key, value in row.settings.items()) or "–",
        mean + half,
        str(row.n),
        _number(row.gradient_evaluations),
        _number(row.train_seconds),
        _number(None if row.seconds_per_gradient is None else 1000 * row.seconds_per_gradient),
        f"{row.diverged}/{row.n}",
    )


def notes(workload: Workload) -> list[str]:
    """Say what the reader of a table has to know: what the seeds can show, and what does not compare."""
    return [
        _power(workload),
        _hardware(workload),
        *_forward_passes(workload.rows),
        *_sources(workload.rows),
    ]


def _section(workload: Workload) -> str:
    heading = f"## {_escape(workload.title)}"
    shared = f"All runs: `{protocol(workload.shared | workload.common)}`"
    table = _table([cells(row) for row in workload.rows])
    return "\n\n".join([heading, shared, table, "\n".join(f"- {note}" for note in notes(workload))])


def _table(rows: Sequence[Sequence[str]]) -> str:
    body = [[_escape(cell) for cell in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(COLUMNS, *body, strict=True)]

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if name in _LEFT else cell.rjust(width)
            for name, cell, width in zip(COLUMNS, row, widths, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if name in _LEFT else "-" * (width - 1) + ":" for name, width in zip(COLUMNS, widths, strict=True)
    ]
    return "\n".join([line(COLUMNS), line(rule), *map(line, body)])


def _power(workload: Workload) -> str:
    if not workload.detectable or workload.deviation is None:
        return "No row has two finished runs: there is no spread to compare with, and no difference is evidence."
    found = ", ".join(f"{100 * difference:.2f} points with {n} runs each" for n, difference in workload.detectable)
    return (
        f"Smallest difference between two rows that is found with 80 % power: {found} (one comparison at 5 %; "
        f"standard deviation over seeds {100 * workload.deviation:.2f})."
    )


def _hardware(workload: Workload) -> str:
    if len(workload.hardware) == 1:
        return f"Times were measured on: {workload.hardware[0][0]}."
    kinds = "; ".join(f"{name} ({_count(count, 'run')})" for name, count in workload.hardware)
    return f"**Times mix hardware** and do not compare: {kinds}."


def _forward_passes(rows: Sequence[Row]) -> list[str]:
    found = [f"{row.label} {_number(row.forward_evaluations)}" for row in rows if row.forward_evaluations]
    return [f"Forward-only passes, beside the gradient evaluations: {', '.join(found)}."] if found else []


def _sources(rows: Sequence[Row]) -> list[str]:
    mixed = [row.label for row in rows if row.sources > 1]
    return [f"**More than one version** of the variant's source: {', '.join(mixed)}."] if mixed else []


def _excluded(workloads: Sequence[Workload], damaged: Sequence[Damaged]) -> list[str]:
    lines = [
        _escape(f"{workload.title}: {item.label}, {_seeds(item)}: {item.reason[:200]}")
        for workload in workloads
        for item in workload.excluded
    ]
    lines += [
        _escape(f"{item.path.name}: {item.problem[:200]}") for item in sorted(damaged, key=lambda item: item.path.name)
    ]
    return ["## Excluded, and why", "\n".join(f"- {line}" for line in lines)] if lines else []


def _seeds(item: Excluded) -> str:
    return f"seed{'s' if len(item.seeds) > 1 else ''} {', '.join(map(str, item.seeds))}"


def _sort_out(records: Iterable[RunRecord | Damaged], damaged: list[Damaged], search: list[str]) -> Iterable[RunRecord]:
    """Pass on what can be ranked and keep the rest, one record in memory at a time."""
    for record in records:
        if isinstance(record, Damaged):
            damaged.append(record)
        elif chooses_hyper(record):
            search.append(record.run_id)
        else:
            yield record


def _changes(found: bytes, expected: bytes, most: int = 20) -> str:
    there, wanted = found.decode(errors="replace").splitlines(), expected.decode().splitlines()
    lines = difflib.unified_diff(there, wanted, "there", "should be", n=0, lineterm="")
    changes = [line for line in lines if not line.startswith("@@")]
    more = [f"... and {len(changes) - most} more lines"] if len(changes) > most else []
    return "\n".join([*changes[:most], *more]) or "the ends of its lines"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
