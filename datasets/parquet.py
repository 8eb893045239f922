"""Data sets in the layout of dataset hubs: Parquet shards with encoded images and integer labels."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import DataError
from .cache import cached
from .dataset import Dataset, build
from .decode import decode
from .registry import register_dataset

if TYPE_CHECKING:
    import pyarrow as pa

_IMAGE_COLUMNS = ("img", "image")
_LABEL_COLUMNS = ("label", "fine_label", "labels")
_MOST_CLASSES = 100_000
_OF = re.compile(r"-of-(\d+)\.parquet$")


@register_dataset(
    "parquet:DIR",
    "a folder of train-*.parquet and test-*.parquet in the hub layout (encoded images, integer labels)",
    augment="crop:4,flip,cutout:16",
)
def load_parquet(name: str, directory: Path, cache: Path) -> Dataset:
    """Read ``train-*.parquet`` and ``test-*.parquet``, each in one or several shards (taken in sorted order).

    Images are a struct column with a binary field ``bytes`` (called ``img`` or ``image``, or the only one of its
    kind); labels are an integer column (``label``, ``fine_label`` or the only one). Class names come from the
    ``huggingface`` entry of the schema's metadata, else they are the numbers up to the largest label.

    Raises:
        DataError: if files or columns are missing or ambiguous, a value is null, or an image cannot be decoded.
    """
    train, test = _shards(directory, "train"), _shards(directory, "test")
    return cached(name, directory, [*train, *test], cache, lambda: _decode(name, train, test))


def _shards(directory: Path, part: str) -> list[Path]:
    """List the files of one part; if their names give a number (``-00001-of-00003``), all of them must be there."""
    files = sorted(directory.glob(f"{part}-*.parquet"))
    if not files:
        present = sorted(path.name for path in directory.glob("*"))[:10] if directory.is_dir() else None
        found = "the folder does not exist" if present is None else f"it holds: {', '.join(present) or 'nothing'}"
        raise DataError(f"no {part}-*.parquet in {directory}; {found}")
    counts = {int(match[1]) for path in files if (match := _OF.search(path.name))}
    if counts and counts != {len(files)}:
        expected = " or ".join(str(count) for count in sorted(counts))
        raise DataError(f"{directory} has {len(files)} {part}-*.parquet, their names say {expected}")
    return files


def _decode(name: str, train: list[Path], test: list[Path]) -> Dataset:
    train_images, train_labels, names = _read_part(train)
    test_images, test_labels, test_names = _read_part(test)
    if names is None or test_names is None:
        count = 1 + max(int(train_labels.max()), int(test_labels.max()))
        if count > _MOST_CLASSES:
            raise DataError(
                f"{train[0].parent}: the largest label is {count - 1}, too large for a class; labels count up from 0"
            )
        names = names or test_names or tuple(str(label) for label in range(count))
    elif names != test_names:
        raise DataError(f"{train[0].parent}: the class names of train {names} and test {test_names} differ")
    return build(name, (train_images, train_labels), (test_images, test_labels), names)


def _read_part(files: list[Path]) -> tuple[Tensor, Tensor, tuple[str, ...] | None]:
    """Read the shards of one part: images uint8 (N, C, H, W), labels int64 (N,), class names if recorded."""
    import pyarrow as pa  # a tenth of a second, for runs on no such files
    import pyarrow.parquet as pq

    encoded: list[bytes] = []
    origin: list[str] = []
    labels: list[int] = []
    names = None
    for path in files:
        try:
            schema = pq.read_schema(path)
            image, label = _image_column(schema, path), _label_column(schema, path)
            table = pq.read_table(path, columns=[image, label])
            names = names or _class_names(schema, label, path)
            content = [row and row["bytes"] for row in table[image].to_pylist()]
            values = table[label].cast(pa.int64()).to_pylist()
        except DataError:
            raise
        except Exception as error:  # damage surfaces as almost any exception of pyarrow
            raise DataError(f"{path} is not a Parquet file that can be read: {error!s:.200}") from error
        for column, column_values in ((image, content), (label, values)):
            if None in column_values:
                raise DataError(f"{path}: row {column_values.index(None)} of column {column!r} is null")
        encoded += content
        labels += values
        origin += [f"row {row} of {path}" for row in range(len(values))]
    if not encoded:
        raise DataError(f"{files[0]} has no rows")
    return decode(encoded, origin, str(files[0].parent)), torch.tensor(labels, dtype=torch.int64), names


def _image_column(schema: "pa.Schema", path: Path) -> str:
    from pyarrow import types

    structs = [
        field.name
        for field in schema
        if types.is_struct(field.type) and any(inner.name == "bytes" and _is_binary(inner.type) for inner in field.type)
    ]
    return _choose("image column (a struct with a binary field 'bytes')", structs, _IMAGE_COLUMNS, schema, path)


def _label_column(schema: "pa.Schema", path: Path) -> str:
    from pyarrow import types

    integers = [field.name for field in schema if types.is_integer(field.type)]
    return _choose("label column (integers)", integers, _LABEL_COLUMNS, schema, path)


def _choose(kind: str, found: list[str], usual: tuple[str, ...], schema: "pa.Schema", path: Path) -> str:
    for name in usual:
        if name in found:
            return name
    if len(found) == 1:
        return found[0]
    state = f"{len(found)} candidates ({', '.join(found)}), none called {' or '.join(usual)}" if found else "none"
    columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
    raise DataError(f"{path}: one {kind} is needed, there is {state}; its columns are {columns}")


def _is_binary(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return types.is_binary(kind) or types.is_large_binary(kind)


def _class_names(schema: "pa.Schema", label: str, path: Path) -> tuple[str, ...] | None:
    """Read the class names from the metadata that Hugging Face ``datasets`` writes, or return ``None``."""
    try:
        names = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: the class names {names!r:.80} in its metadata are no list of texts")
    return tuple(names)
