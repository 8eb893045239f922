"""What boards need of each record, kept between two commands: an unchanged record is not read again.

The index is one Parquet file in the user's cache folder, never the only truth. A row counts only while the file that it
was made from has the same size, inode and times of writing and of change: whoever edits or restores a record changes
the last one, which no program can set. ``sambench validate`` reads all records all the same and compares them with
their rows. The name of the file is the hash of its content, so that a damaged one is not used and writers cannot
mix theirs; it is written anew when many records are new.
"""

import hashlib
import io
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...atomic import atomic_write_bytes, default_folder, make_folder
from ...errors import SambenchError
from ...reading import read_bytes
from ..records import record as record_module
from ..records.behaviour import code_of
from ..records.record import RunRecord
from ..records.store import Damaged, Store
from .comparability import REPETITION, identity_of
from .grouping import Alike, RunSummary, alike

FEW = 100
"""Records that are read faster than an index is written; of a large store a hundredth may be new, too."""
SETTLED_NS = 2 * 10**9
"""A file that changed less than this ago may change again within one tick of the clock, and is not trusted yet."""
_MOST = 2**32
_CODE = Path(record_module.__file__).parent, Path(__file__).parent
_SUMMARY = tuple(name for name in RunSummary._fields if name not in ("run_id", "code"))
_TYPES = {str: pa.string(), int: pa.int64(), int | None: pa.int64(), float: pa.float64()}
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("run_id", "state", "setting", "source", "behaviour")]
    + [(name, _TYPES[RunSummary.__annotations__[name]]) for name in _SUMMARY]
)


def scan_summaries(store: Store) -> Iterator[Alike | Damaged]:
    """Yield what boards need of every run of a store, those of one setting together, and the files that are damaged.

    It says what :meth:`Store.scan` and :func:`alike` would say of the same files, in another order.

    Raises:
        StateError: the folder of the records cannot be read.
    """
    states = _states(store)
    kept = _unchanged(_load(store), states)
    yield from _grouped(kept)
    known, rows, settings = set(kept["run_id"].to_pylist()), [], dict[bytes, str]()
    for item in store.scan(run_id for run_id in states if run_id not in known):
        if isinstance(item, Damaged):
            yield item
            continue
        yield (one := alike(item))
        if state := states[item.run_id]:
            rows.append(_row(item, one.runs[0], state, settings))
    if len(rows) > FEW + len(states) // 100:
        with suppress(SambenchError, OSError, ValueError, OverflowError, pa.ArrowException):  # it costs time, no more
            _write(store, pa.concat_tables([kept, _table(rows)]))


def wrong_rows(store: Store, records: Iterable[RunRecord]) -> list[str]:
    """List the runs whose row in the index counts and says something else than their record."""
    index = _unchanged(_load(store), _states(store))
    rows = {row[0]: row for row in zip(*(column.to_pylist() for column in index.columns), strict=True)}
    settings = dict[bytes, str]()
    return [
        record.run_id
        for record in records
        if (row := rows.get(record.run_id)) and row != _row(record, alike(record).runs[0], row[1], settings)
    ]


def index_folder(store: Store) -> Path:
    """Return the folder of the index of a store.

    Raises:
        ConfigError: the user has no home folder, and no variable names another one.
    """
    place = hashlib.sha256(os.fsencode(os.path.realpath(store.runs))).hexdigest()
    return default_folder("boards", "SAMBENCH_CACHE") / place


def _states(store: Store) -> dict[str, str]:
    """Return for every run what tells its file from another one; nothing for one that cannot be trusted yet."""
    before, found = time.time_ns() - SETTLED_NS, dict[str, str]()
    for ids, ending in ((store.run_ids(), ".json"), (store.failed_ids(), ".failed.json")):
        for run_id in ids:
            found[run_id] = ""
            with suppress(OSError):
                about = os.stat(f"{store.runs}/{run_id}{ending}")
                if about.st_ctime_ns < before:
                    found[run_id] = f"{ending} {about.st_size} {about.st_ino} {about.st_mtime_ns} {about.st_ctime_ns}"
    return found


def _unchanged(index: pa.Table, states: dict[str, str]) -> pa.Table:
    rows = zip(index["run_id"].to_pylist(), index["state"].to_pylist(), strict=True)
    kept = [states.get(run_id) == state for run_id, state in rows]
    return index if all(kept) else index.filter(pa.array(kept, pa.bool_()))  # a list that becomes an array loads pandas


def _row(record: RunRecord, run: RunSummary, state: str, settings: dict[bytes, str]) -> tuple[Any, ...]:
    if (identity := identity_of(record)) not in settings:
        spec = {key: value for key, value in record.spec.items() if key not in REPETITION}
        settings[identity] = json.dumps([record.dataset_fingerprint, spec])
    code = record.variant_source, record.environment.behaviour
    return (record.run_id, state, settings[identity], *code, *(getattr(run, name) for name in _SUMMARY))


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    return pa.table(list(zip(*rows, strict=True)), schema=_SCHEMA)


def _grouped(index: pa.Table) -> Iterator[Alike]:
    setting = index["setting"].combine_chunks().dictionary_encode()
    about = [json.loads(text) for text in setting.dictionary.to_pylist()]
    which = setting.indices.to_pylist()
    code = cache(code_of)
    variants = (str(about[i][1]["variant"]) for i in which)
    columns = {name: _values(index[name]) for name in _SUMMARY}
    columns["run_id"] = index["run_id"].to_pylist()
    columns["code"] = list(map(code, variants, _values(index["source"]), _values(index["behaviour"])))
    found = defaultdict[int, list[RunSummary]](list)
    for i, values in zip(which, zip(*(columns[name] for name in RunSummary._fields), strict=True), strict=True):
        found[i].append(RunSummary._make(values))
    for i, runs in found.items():
        yield Alike(about[i][1], about[i][0], runs)


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column; equal texts are one object, as a store has few."""
    if column.type != pa.string():
        return column.to_pylist()
    encoded = column.combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    return [None if i is None else texts[i] for i in encoded.indices.to_pylist()]


def _load(store: Store) -> pa.Table:
    """Read the index of a store: empty where there is none that is whole and made by this code."""
    with suppress(SambenchError, OSError):
        for path in sorted(index_folder(store).glob("*.parquet")):
            with suppress(OSError, ValueError, MemoryError, pa.ArrowException):
                data = read_bytes(path, _MOST)
                if hashlib.sha256(data).hexdigest() == path.stem:
                    table = pq.ParquetFile(pa.BufferReader(data)).read()
                    if table.schema.equals(_schema(), check_metadata=True):
                        return table.replace_schema_metadata()
    return _SCHEMA.empty_table()


def _write(store: Store, index: pa.Table) -> None:
    buffer, folder = io.BytesIO(), make_folder(index_folder(store))
    pq.write_table(index.cast(_schema()), buffer, compression="zstd")
    path = folder / f"{hashlib.sha256(buffer.getbuffer()).hexdigest()}.parquet"
    atomic_write_bytes(path, buffer.getvalue())
    for other in folder.glob("*.parquet"):
        if other != path:
            other.unlink(missing_ok=True)


@cache
def _schema() -> pa.Schema:
    """Return the schema with a hash of the code that reads records: another code makes another index."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in _CODE for path in folder.glob("*.py")):
        digest.update(path.read_bytes())
    return _SCHEMA.with_metadata({"code": digest.hexdigest()})
