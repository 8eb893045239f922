"""What boards need of each record, kept between two commands: an unchanged record is not read again."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import pyarrow as pa

from ..records.behaviour import code_of
from ..records.record import RunRecord
from ..records.store import Damaged, Store
from .comparability import REPETITION, identity_of
from .grouping import Alike, RunSummary, alike
from .kept_rows import KeptRows, state_of

_SUMMARY = tuple(name for name in RunSummary._fields if name not in ("run_id", "code"))
_FEW = pa.dictionary(pa.int32(), pa.string())
"""Texts of which a store has few; each is kept, and read, once."""
_TYPES = {str: _FEW, int: pa.int64(), int | None: pa.int64(), float: pa.float64(), float | None: pa.float64()}
_COLUMNS = [
    *((name, _FEW) for name in ("setting", "source", "behaviour")),
    *((name, _TYPES[RunSummary.__annotations__[name]]) for name in _SUMMARY),
]


def scan_summaries(store: Store) -> Iterator[Alike | Damaged]:
    """Yield what boards need of every run of a store, those of one setting together, and the files that are damaged.

    It says what :meth:`Store.scan` and :func:`alike` would say of the same files, in another order.

    Raises:
        StateError: the folder of the records cannot be read.
    """
    index, states = index_of(store), _states(store)
    kept = index.unchanged(states)
    yield from _grouped(kept)
    known, rows, settings = set(kept["key"].to_pylist()), [], dict[bytes, str]()
    for item in store.scan(run_id for run_id in states if run_id not in known):
        if isinstance(item, Damaged):
            yield item
            continue
        yield (one := alike(item))
        if state := states[item.run_id]:
            rows.append(_row(item, one.runs[0], state, settings))
    index.keep(kept, rows, len(states))


def wrong_rows(store: Store, records: Iterable[RunRecord]) -> list[str]:
    """List the runs whose row in the index counts and says something else than their record."""
    index = index_of(store).unchanged(_states(store))
    rows = {row[0]: row for row in zip(*(column.to_pylist() for column in index.columns), strict=True)}
    settings = dict[bytes, str]()
    return [
        record.run_id
        for record in records
        if (row := rows.get(record.run_id)) and row != _row(record, alike(record).runs[0], row[1], settings)
    ]


def index_of(store: Store) -> KeptRows:
    """Return the index of the records of a store."""
    return KeptRows(store.runs, _COLUMNS)


def _states(store: Store) -> dict[str, str]:
    """Return for every run what tells its file from another one; nothing for one that cannot be trusted yet."""
    found = dict[str, str]()
    for ids, ending in ((store.run_ids(), ".json"), (store.failed_ids(), ".failed.json")):
        for run_id in ids:
            state = state_of(f"{store.runs}/{run_id}{ending}")
            found[run_id] = state and f"{ending} {state}"
    return found


def _row(record: RunRecord, run: RunSummary, state: str, settings: dict[bytes, str]) -> tuple[Any, ...]:
    if (identity := identity_of(record)) not in settings:
        spec = {key: value for key, value in record.spec.items() if key not in REPETITION}
        settings[identity] = json.dumps([record.dataset_fingerprint, spec])
    code = record.variant_source, record.environment.behaviour
    return (record.run_id, state, settings[identity], *code, *(getattr(run, name) for name in _SUMMARY))


def _grouped(index: pa.Table) -> Iterator[Alike]:
    setting = index["setting"].combine_chunks()
    about = [json.loads(text) for text in setting.dictionary.to_pylist()]
    which = setting.indices.to_pylist()
    code = cache(code_of)
    variants = (str(about[i][1]["variant"]) for i in which)
    columns = {name: _values(index[name]) for name in _SUMMARY}
    columns["run_id"] = index["key"].to_pylist()
    columns["code"] = list(map(code, variants, _values(index["source"]), _values(index["behaviour"])))
    found = defaultdict[int, list[RunSummary]](list)
    for i, values in zip(which, zip(*(columns[name] for name in RunSummary._fields), strict=True), strict=True):
        found[i].append(RunSummary._make(values))
    for i, runs in found.items():
        yield Alike(about[i][1], about[i][0], runs)


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column; equal texts are one object."""
    if column.type != _FEW:
        return column.to_pylist()
    encoded = column.combine_chunks()
    texts = encoded.dictionary.to_pylist()
    return [None if i is None else texts[i] for i in encoded.indices.to_pylist()]
