"""Boards: the manifest of a suite with the tables of its runs."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

from ..records.behaviour import Code
from ..records.manifest import SuiteManifest, Track, manifest_files, read_manifest
from ..records.record import RunRecord
from ..records.retractions import reasons, scan_retractions
from ..records.store import Damaged, DamagedError, Store
from ..records.trials import FOLDER as LEDGERS
from ..records.trials import Trial, read_ledger
from .comparability import setting_of
from .grouping import Alike, Collection, RunSummary
from .headlines import scan_headlines
from .index import scan_summaries
from .tiers import VERIFICATION, tier
from .workload_table import Workload, tables

Found = TypeVar("Found")

HEADLINE = ("G", "E", "T")
"""Order of the tracks: equal gradient evaluations first."""


@dataclass(frozen=True, slots=True)
class Section:
    """One table: a workload at the budget of a track, or, without a track, all runs that the suite lists.

    Attributes:
        track: the track whose budget the runs share; ``None`` for a suite without tracks.
        workload: the runs that are compared, as rows.
        tiers: label of a row -> ``reproduced``, ``verified`` or ``stale``.
        edges: label of a row -> tuned hyper-parameters that ended at the edge of their range.
        reference: whether these are reference rows: settings of their own, grouped and compared with nothing.
        measured: run id -> measure -> its first value, for the runs whose networks were measured; None for no number.
    """

    track: Track | None
    workload: Workload
    tiers: dict[str, str]
    edges: dict[str, str]
    reference: bool = False
    measured: dict[str, dict[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Board:
    """The tables of one suite, or of the runs that no suite of the store lists.

    Attributes:
        manifest: what the suite promised; ``None`` for runs of no suite.
        sections: one table for each workload and track, workload by workload, the headline track first.
        runs: number of different runs in the tables.
        missing: number of promised runs that have no final record.
        trials: trials of the suite's tuning; empty where nothing was tuned.
    """

    manifest: SuiteManifest | None
    sections: tuple[Section, ...]
    runs: int
    missing: int
    trials: tuple[Trial, ...] = ()

    @property
    def budget(self) -> dict[tuple[str, int], int]:
        """``(stage, seed)`` -> number of trials of one method; validation makes sure that all methods have the same."""
        spent: dict[tuple[str, int], int] = {}
        for trial in self.trials:
            if (trial.track, trial.method) == (self.trials[0].track, self.trials[0].method):
                spent[trial.stage, trial.seed] = spent.get((trial.stage, trial.seed), 0) + 1
        return dict(sorted(spent.items(), key=lambda item: (item[0][0] != "screen", item[0][1])))


@dataclass(frozen=True, slots=True)
class Boards:
    """Everything that a leaderboard shows of a store.

    Attributes:
        boards: one for each suite, by name, then one for the runs of no suite.
        damaged: files that cannot be read as what they should be, most of them records.
        search: number of search runs (tuning trials), which are in no table.
    """

    boards: tuple[Board, ...]
    damaged: tuple[Damaged, ...]
    search: int

    @property
    def sections(self) -> list[Section]:
        """All tables with at least one row."""
        return [section for board in self.boards for section in board.sections if section.workload.rows]


def gather(store: Store, today: Mapping[str, Code] | None = None) -> Boards:
    """Read a store: records, manifests, ledgers, re-runs and retractions. What is damaged is listed, never raised.

    Args:
        store: the store.
        today: variant -> its code as it is, by which rows are found stale; by default none is.

    Raises:
        StateError: the folder of the records cannot be read.
    """
    damaged = list[Damaged]()
    manifests = readable(read_manifest, manifest_files(store.root), damaged)
    names = sorted({manifest.tuning.ledger for manifest in manifests if manifest.tuning})
    ledgers = {name: readable(read_ledger, [store.root / LEDGERS / name], damaged) for name in names}
    retracted = list(scan_retractions(store.root))
    values, unreadable = scan_headlines(store)
    damaged += [*(one for one in retracted if isinstance(one, Damaged)), *unreadable]
    found = assemble(
        chain(damaged, scan_summaries(store)),
        manifests,
        {name: trials for name, found in ledgers.items() for trials in found},
        scan_summaries(Store(store.root / VERIFICATION)),
        reasons(one for one in retracted if not isinstance(one, Damaged)),
        today,
    )
    boards = (replace(board, sections=tuple(_measured(s, values) for s in board.sections)) for board in found.boards)
    return replace(found, boards=tuple(boards))


def _measured(section: Section, values: Mapping[str, dict[str, float | None]]) -> Section:
    runs = [run for row in section.workload.rows for run in row.runs if run in values]
    return replace(section, measured={run: values[run] for run in runs})


def readable(read: Callable[[Path], Found], paths: Iterable[Path], damaged: list[Damaged]) -> list[Found]:
    """Read the files that can be read; the others are added to ``damaged``."""
    found = list[Found]()
    for path in paths:
        try:
            found.append(read(path))
        except DamagedError as error:
            damaged.append(error.damaged)
    return found


def assemble(
    records: Iterable[RunRecord | Alike | Damaged],
    manifests: Sequence[SuiteManifest] = (),
    ledgers: Mapping[str, Sequence[Trial]] | None = None,
    again: Iterable[RunRecord | Alike | Damaged] = (),
    retracted: Mapping[str, str] | None = None,
    today: Mapping[str, Code] | None = None,
) -> Boards:
    """Make the boards of some records; the result depends on the arguments only, not on the order of the records.

    Args:
        records: records of the runs, of which one at a time is in memory, or their summaries.
        manifests: manifests of the suites.
        ledgers: file name of a ledger -> its trials.
        again: records of re-runs on other machines.
        retracted: run id -> why the run was retracted.
        today: variant -> its code as it is.
    """
    damaged: list[Damaged] = []
    collection, repeated = (_collect(part, damaged) for part in (records, again))
    runs = {run.run_id: run for run in collection.runs()}
    reruns = {run.run_id: run for run in repeated.runs()}
    listed = {run for manifest in manifests for run in manifest.runs}
    boards = [
        _board(
            manifest,
            collection,
            runs,
            reruns,
            (ledgers or {}).get(manifest.tuning.ledger if manifest.tuning else "", ()),
            retracted,
            today,
        )
        for manifest in manifests
    ]
    if rest := frozenset(runs.keys() - listed):
        sections = [
            _section(None, workload, runs, reruns, (), today) for workload in tables(collection, rest, retracted)
        ]
        boards.append(Board(None, tuple(sections), len(rest), 0))
    return Boards(tuple(boards), tuple(sorted(damaged, key=lambda item: (item.name, item.problem))), collection.search)


def _collect(records: Iterable[RunRecord | Alike | Damaged], damaged: list[Damaged]) -> Collection:
    collection = Collection()
    for record in records:
        if isinstance(record, Damaged):
            damaged.append(record)
        else:
            collection.add(record)
    return collection


def _board(
    manifest: SuiteManifest,
    collection: Collection,
    runs: Mapping[str, RunSummary],
    reruns: Mapping[str, RunSummary],
    trials: Sequence[Trial],
    retracted: Mapping[str, str] | None,
    today: Mapping[str, Code] | None,
) -> Board:
    compared = [(track, track.runs) for track in manifest.tracks]
    sections = [
        _section(track, workload, runs, reruns, trials, today)
        for track, promised in [*compared, (None, manifest.untracked)]
        if promised
        for workload in tables(collection, frozenset(promised), retracted)
    ]
    if manifest.tracks:
        sections = [_apart(section) if section.track is None else section for section in sections]
    titles = list(dict.fromkeys(section.workload.title for section in sections))
    sections.sort(key=lambda section: (titles.index(section.workload.title), _rank(section.track)))
    done = [run for run in manifest.runs if run in runs and runs[run].status != "failed"]
    return Board(manifest, tuple(sections), len(done), len(manifest.runs) - len(done), tuple(trials))


def _apart(section: Section) -> Section:
    """Return a table of reference rows, whose settings are their own: no groups, no differences."""
    rows = tuple(replace(row, group="", against={}) for row in section.workload.rows)
    return replace(section, workload=replace(section.workload, rows=rows), reference=True)


def _rank(track: Track | None) -> int:
    return HEADLINE.index(track.name) if track else len(HEADLINE)


def _section(
    track: Track | None,
    workload: Workload,
    runs: Mapping[str, RunSummary],
    reruns: Mapping[str, RunSummary],
    trials: Sequence[Trial],
    today: Mapping[str, Code] | None,
) -> Section:
    edges = _edges(trials, track)
    return Section(
        track,
        workload,
        {row.label: tier(row, runs, reruns, today) for row in workload.rows},
        {row.label: found for row in workload.rows if (found := edges.get(setting_of(row.spec)))},
    )


def _edges(trials: Sequence[Trial], track: Track | None) -> dict[str, str]:
    """Map each chosen setting to its hyper-parameters at the edge of their range; this track's search has priority."""
    chosen = sorted(
        (trial for trial in trials if trial.chosen), key=lambda t: track is not None and t.track == track.name
    )
    return {setting_of(json.loads(trial.spec)): trial.edges for trial in chosen}
