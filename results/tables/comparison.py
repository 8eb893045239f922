"""Rows against each other, by name: their difference in every table that has them."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from ...errors import ConfigError, StateError, unknown
from ..records.record import unpack_bits
from ..records.store import Store
from ..statistics.paired_examples import Bits, PairedExamples, compare_examples
from ..statistics.pairs import LEAST_RUNS, PairDifference
from .boards import Board, Section, gather
from .comparability import short_name
from .rows import Row, between

log = logging.getLogger("sambench")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows of one table.

    Attributes:
        suite: name of the suite; empty for runs of none.
        workload: title of the workload.
        track: ``G``, ``E`` or ``T``; empty for a suite without tracks.
        first: the row that was named first.
        second: the other one.
        difference: the difference of their accuracies, first less second; ``None`` if one has fewer than three runs.
        examples: the same by which test examples their runs get right; ``None`` for fewer than three common seeds, and
            where a run has no such list: it diverged, or did not look at the test set.
    """

    suite: str
    workload: str
    track: str
    first: Row
    second: Row
    difference: PairDifference | None
    examples: PairedExamples | None = None

    @property
    def title(self) -> str:
        """Name of the table."""
        return self.workload + (f", track {self.track}" if self.track else "")

    @property
    def errors(self) -> tuple[float, float, float] | None:
        """Difference of the errors in points with the ends of its interval: negative where the first is better."""
        if (found := self.difference) is None:
            return None
        return -100 * found.estimate + 0.0, -100 * found.high + 0.0, -100 * found.low + 0.0

    @property
    def on_examples(self) -> str:
        """Return one plain sentence on what the test examples show; empty where they are not known."""
        if (found := self.examples) is None:
            return ""
        low, high = -100 * found.high + 0.0, -100 * found.low + 0.0
        return (
            f"On other test examples, too: 95 % interval {low:+.2f} to {high:+.2f} points. McNemar's test tells "
            f"{found.apart} of {len(found.p)} pairs of runs apart (examples that one alone gets right: "
            f"{found.only_first:.1f} and {found.only_second:.1f})."
        )

    def __str__(self) -> str:
        """Return one plain sentence on what the runs show."""
        first, second = self.first.label, self.second.label
        if (found := self.difference) is None or (errors := self.errors) is None:
            few = " and ".join(f"{row.label} has {row.n}" for row in (self.first, self.second) if row.n < LEAST_RUNS)
            return f"A difference takes {LEAST_RUNS} runs of each row, and {few}."
        estimate, low, high = errors
        if low <= 0 <= high:
            return (
                f"These runs do not tell {first} and {second} apart (95 % interval {low:+.2f} to {high:+.2f} points); "
                f"in four of five cases they would have shown a difference of {100 * found.detectable:.2f}."
            )
        near, far = sorted((abs(low), abs(high)))
        return (
            f"{first} has {abs(estimate):.2f} points {'less' if estimate < 0 else 'more'} error than {second} "
            f"(95 % interval {near:.2f} to {far:.2f})."
        )


def compare(*names: str, results: str | Path) -> list[Pair]:
    """Compare rows with each other in every table of a results folder that has at least two of them.

    The difference of two rows is taken within the seed where they share at least five, since runs of one seed share
    weights, order and augmentation; see :func:`sambench.results.statistics.pairs.compare_by_seed`. Each interval holds
    for itself: of twenty comparisons of equal methods one is expected to look like a difference.

    Args:
        *names: two or more rows: a label as the tables have it (``"unified_sam (lam=0.5)"``), or a variant, which means
            its best row. A name that is no row's may be a suite's, and then only its tables count.
        results: the results folder.

    Returns:
        The pairs, table by table, in the order of the names.

    Raises:
        ConfigError: fewer than two rows are named, or a name is neither a row nor a suite.
        StateError: no table has two of the rows.

    Example:
        >>> for pair in sb.compare("sam", "sgd", results="results"):  # doctest: +SKIP
        ...     print(pair.title, pair)
    """
    store = Store(results)
    found = gather(store)
    for one in found.damaged:
        log.warning("left out: %s", one)
    boards = [board for board in found.boards if any(s.workload.rows for s in board.sections)]
    if not boards:
        raise StateError(f"there is no finished run in {results}; `sambench run` and `launch` write them there")
    rows, suites = _sort(names, boards)
    shown = [board for board in boards if not suites or _name(board) in suites]
    pairs = [
        pair for board in shown for section in board.sections for pair in _pairs(_name(board), section, rows, store)
    ]
    if not pairs:
        where = "; ".join(f"{name} is in {', '.join(_tables(boards, name))}" for name in rows)
        raise StateError(f"no table{f' of {suites[0]}' if suites else ''} has two of these rows: {where}")
    return pairs


def find(rows: Iterable[Row], name: str) -> Row | None:
    """Find the row of a table that a name means: the one with this label, else the best one of this method or variant.

    Of several the best one with three runs or more is meant, and the best one if none has so many.

    Args:
        rows: rows of a table, best first.
        name: a label, a method's short name, or a variant.
    """
    rows = list(rows)
    for name_of in (lambda row: row.label, lambda row: short_name(row.spec), lambda row: row.variant):
        if found := [row for row in rows if name_of(row) == name]:
            return next((row for row in found if row.n >= LEAST_RUNS), found[0])
    return None


def _sort(names: Sequence[str], boards: Sequence[Board]) -> tuple[list[str], list[str]]:
    """Tell rows from suites."""
    every = [row for board in boards for section in board.sections for row in section.workload.rows]
    known = {name for row in every for name in (row.label, short_name(row.spec), row.variant)}
    suites = {name for board in boards if (name := _name(board))}
    for name in names:
        if name not in known | suites:
            raise unknown("row or suite", name, known | suites)
    rows = list(dict.fromkeys(name for name in names if name in known))
    if len(rows) < 2:
        raise ConfigError(
            f"a comparison takes two rows or more, got {', '.join(rows) or 'none'}; as in `sambench compare sam sgd`"
        )
    return rows, [name for name in names if name not in known]


def _pairs(suite: str, section: Section, names: Sequence[str], store: Store) -> list[Pair]:
    found = dict.fromkeys(id(row) for name in names if (row := find(section.workload.rows, name)))
    rows = {id(row): row for row in section.workload.rows}
    track = section.track.name if section.track else ""
    right = {one: _right(rows[one], store) for one in found}
    return [
        Pair(
            suite,
            section.workload.title,
            track,
            rows[one],
            rows[other],
            between(rows[one], rows[other]),
            compare_examples(right[one], right[other], np.random.default_rng(0)),
        )
        for one, other in combinations(found, 2)
    ]


def _right(row: Row, store: Store) -> dict[int, Bits]:
    """Return which test examples the runs of a row get right, by seed; nothing if one of them does not say."""
    metrics = {seed: store.read(run_id).metrics for seed, run_id in zip(row.seeds, row.runs, strict=True)}
    found = {seed: unpack_bits(one.correct, one.count) for seed, one in metrics.items() if one and one.split == "test"}
    return found if len(found) == len(metrics) else {}


def _name(board: Board) -> str:
    return board.manifest.name if board.manifest else ""


def _tables(boards: Sequence[Board], name: str) -> list[str]:
    return [
        section.workload.title + (f" (track {section.track.name})" if section.track else "")
        for board in boards
        for section in board.sections
        if find(section.workload.rows, name)
    ]
