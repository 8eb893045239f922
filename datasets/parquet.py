"""Data sets in the layout of the hubs: Parquet shards with encoded images and integer labels."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ..errors import DataError
from .cache import cached
from .dataset import Dataset, DatasetInfo, build
from .images import decode

INFO = DatasetInfo(
    name="parquet:DIR",
    summary="a folder of train-*.parquet and test-*.parquet in the hub layout (encoded images, integer labels)",
    shape=None,
    classes=None,
    train=None,
    test=None,
    augment="crop:4,flip,cutout:16",
)
_IMAGE_COLUMNS = ("img", "image")
_LABEL_COLUMNS = ("label", "fine_label", "labels")


def load_parquet(name: str, directory: Path, cache: Path) -> Dataset:
    """Read ``train-*.parquet`` and ``test-*.parquet``, each in one or several shards (taken in sorted order).

    Images are a struct column with a binary field ``bytes`` (called ``img`` or ``image``, or the only one of its
    kind); labels are an integer column (``label``, ``fine_label`` or the only one). Class names come from the
    ``huggingface`` entry of the schema's metadata, else they are the numbers up to the largest label.

    Raises:
        DataError: if files or columns are missing or ambiguous, a value is null, or an image cannot be decoded.
    """
    shards = {part: sorted(directory.glob(f"{part}-*.parquet")) for part in ("train", "test")}
    for part, files in shards.items():
        if not files:
            present = sorted(path.name for path in directory.glob("*"))[:10] if directory.is_dir() else None
            found = "the folder does not exist" if present is None else f"it holds: {', '.join(present) or 'nothing'}"
            raise DataError(f"no {part}-*.parquet in {directory}; {found}")
    files = [*shards["train"], *shards["test"]]
    return cached(name, directory, files, cache, lambda: _decode(name, shards))


def _decode(name: str, shards: dict[str, list[Path]]) -> Dataset:
    parts, names = [], None
    for files in shards.values():
        images, labels, found = _read_part(files)
        names = names or found
        parts.append((images, labels))
    count = 1 + max(int(labels.max()) for _, labels in parts)
    return build(name, parts[0], parts[1], names or tuple(str(label) for label in range(count)))


def _read_part(files: list[Path]) -> tuple[Tensor, Tensor, tuple[str, ...] | None]:
    """Read the shards of one part: images uint8 (N, C, H, W), labels int64 (N,), class names if recorded."""
    encoded: list[bytes] = []
    origin: list[str] = []
    labels: list[int] = []
    names = None
    for path in files:
        try:
            schema = pq.read_schema(path)
            image, label = _image_column(schema, path), _label_column(schema, path)
            table = pq.read_table(path, columns=[image, label])
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} is not a Parquet file that can be read: {error}") from error
        names = names or _class_names(schema, label)
        content = [row and row["bytes"] for row in table[image].to_pylist()]
        values = table[label].to_pylist()
        for column, column_values in ((image, content), (label, values)):
            if None in column_values:
                raise DataError(f"{path}: row {column_values.index(None)} of column {column!r} is null")
        encoded += content
        labels += values
        origin += [f"row {row} of {path}" for row in range(len(values))]
    if not encoded:
        raise DataError(f"{files[0]} has no rows")
    return decode(encoded, origin, str(files[0].parent)), torch.tensor(labels, dtype=torch.int64), names


def _image_column(schema: pa.Schema, path: Path) -> str:
    structs = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type)
        and any(inner.name == "bytes" and _is_binary(inner.type) for inner in field.type)
    ]
    return _choose("image column (a struct with a binary field 'bytes')", structs, _IMAGE_COLUMNS, schema, path)


def _label_column(schema: pa.Schema, path: Path) -> str:
    integers = [field.name for field in schema if pa.types.is_integer(field.type)]
    return _choose("label column (integers)", integers, _LABEL_COLUMNS, schema, path)


def _choose(kind: str, found: list[str], usual: tuple[str, ...], schema: pa.Schema, path: Path) -> str:
    for name in usual:
        if name in found:
            return name
    if len(found) == 1:
        return found[0]
    state = f"{len(found)} candidates ({', '.join(found)}), none called {' or '.join(usual)}" if found else "none"
    columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
    raise DataError(f"{path}: one {kind} is needed, there is {state}; its columns are {columns}")


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """Read the class names that the hub's writer records in the schema's metadata, if it did."""
    try:
        about = json.loads((schema.metadata or {})[b"huggingface"])
        return tuple(str(name) for name in about["info"]["features"][label]["names"])
    except (KeyError, TypeError, ValueError):
        return None
