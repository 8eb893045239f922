"""Rows made from the files of a folder, kept between two commands: an unchanged file is not read again.

They are one Parquet file in the user's cache folder, never the only truth. A row counts only while the file that it was
made from has the same size, inode and times of writing and of change: whoever edits or restores a file changes the last
one, which no program can set. ``sambench validate`` reads all files all the same and compares them with their rows. The
name of the Parquet file is the hash of its content, so that a damaged one is not used and writers cannot mix theirs; it
is written anew when many rows are new.
"""

import hashlib
import io
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...atomic import atomic_write_bytes, default_folder, make_folder
from ...errors import SambenchError
from ...reading import read_bytes
from ..records import record as record_module

FEW = 100
"""Files that are read faster than the rows are written; of a large folder a hundredth may be new, too."""
SETTLED_NS = 2 * 10**9
"""A file that changed less than this ago may change again within one tick of the clock, and is not trusted yet."""
_MOST = 2**32
_CODE = Path(record_module.__file__).parent, Path(__file__).parent


def state_of(path: str) -> str:
    """Return what tells a file from another one of its name; nothing where it cannot be trusted yet."""
    before = time.time_ns() - SETTLED_NS
    with suppress(OSError):
        about = os.stat(path)
        if about.st_ctime_ns < before:
            return f"{about.st_size} {about.st_ino} {about.st_mtime_ns} {about.st_ctime_ns}"
    return ""


class KeptRows:
    """The rows of the files of one folder.

    Args:
        files: the folder.
        columns: what a row says, after the key of its file and the state that the file had.
    """

    def __init__(self, files: Path, columns: Sequence[tuple[str, pa.DataType]]):
        self.files = files
        self.schema = pa.schema([("key", pa.string()), ("state", pa.string()), *columns])

    def folder(self) -> Path:
        """Return the folder of the Parquet file.

        Raises:
            ConfigError: the user has no home folder, and no variable names another one.
        """
        place = hashlib.sha256(os.fsencode(os.path.realpath(self.files))).hexdigest()
        return default_folder("boards", "SAMBENCH_CACHE") / place

    def unchanged(self, states: dict[str, str]) -> pa.Table:
        """Return the rows that count.

        Args:
            states: key of every file that there is -> its state.
        """
        table = self._load()
        rows = zip(table["key"].to_pylist(), table["state"].to_pylist(), strict=True)
        kept = [bool(state) and states.get(key) == state for key, state in rows]
        return table if all(kept) else table.filter(pa.array(kept, pa.bool_()))  # an array of a list loads no pandas

    def keep(self, unchanged: pa.Table, rows: list[tuple[Any, ...]], files: int) -> None:
        """Add rows, key and state first, to those that count, where they are many; what fails costs time, no more."""
        if len(rows) > FEW + files // 100:
            with suppress(SambenchError, OSError, ValueError, OverflowError, pa.ArrowException):
                new = pa.table(list(zip(*rows, strict=True)), schema=self.schema)
                self._write(pa.concat_tables([unchanged, new]))

    def _load(self) -> pa.Table:
        """Read the rows: none where there is no file of them that is whole and made by this code."""
        with suppress(SambenchError, OSError):
            for path in sorted(self.folder().glob("*.parquet")):
                with suppress(OSError, ValueError, MemoryError, pa.ArrowException):
                    data = read_bytes(path, _MOST)
                    if hashlib.sha256(data).hexdigest() == path.stem:
                        table = pq.ParquetFile(pa.BufferReader(data)).read()
                        if table.schema.equals(self._marked(), check_metadata=True):
                            return table.replace_schema_metadata()
        return self.schema.empty_table()

    def _write(self, table: pa.Table) -> None:
        buffer, folder = io.BytesIO(), make_folder(self.folder())
        pq.write_table(table.cast(self._marked()), buffer, compression="zstd")
        path = folder / f"{hashlib.sha256(buffer.getbuffer()).hexdigest()}.parquet"
        atomic_write_bytes(path, buffer.getvalue())
        for other in folder.glob("*.parquet"):
            if other != path:
                other.unlink(missing_ok=True)

    def _marked(self) -> pa.Schema:
        """Return the schema with a hash of the code that makes rows: another code makes other ones."""
        return self.schema.with_metadata({"code": _LOADED})


def _hash_of_code() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for folder in _CODE for path in folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_LOADED = _hash_of_code()
"""Taken when this module is loaded: files that change afterwards are not the code that this process runs."""
