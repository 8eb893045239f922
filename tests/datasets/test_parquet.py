"""The hub layout: shards, columns, class names, and what can be wrong with them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sambench.datasets import load
from sambench.errors import DataError

from .builders import encode, pixels, write_parquet

TRAIN, TEST = pixels(7, (5, 4, 3), 0), pixels(3, (5, 4, 3), 1)
LABELS, TEST_LABELS = [0, 1, 2, 0, 1, 2, 1], [2, 0, 1]
NAMES = ["cat", "dog", "eel"]


def encoded(images: np.ndarray) -> list[bytes | None]:
    return [encode(image) for image in images]


def write(folder: Path, names: list[str] | None = NAMES, **columns) -> str:
    write_parquet(folder / "train-00000-of-00001.parquet", encoded(TRAIN), list(LABELS), names, **columns)
    write_parquet(folder / "test-00000-of-00001.parquet", encoded(TEST), list(TEST_LABELS), names, **columns)
    return f"parquet:{folder}"


def test_pixels_labels_and_names(tmp_path: Path) -> None:
    dataset = load(write(tmp_path))
    assert torch.equal(dataset.train_images, torch.from_numpy(TRAIN).permute(0, 3, 1, 2))
    assert torch.equal(dataset.test_images, torch.from_numpy(TEST).permute(0, 3, 1, 2))
    assert dataset.train_labels.tolist() == LABELS
    assert dataset.test_labels.tolist() == TEST_LABELS
    assert dataset.classes == tuple(NAMES)
    scaled = TRAIN.astype(np.float64) / 255
    np.testing.assert_allclose(dataset.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, scaled.std(axis=(0, 1, 2)), rtol=1e-12)


def test_shards_are_taken_in_sorted_order(tmp_path: Path) -> None:
    whole = load(write(tmp_path / "whole"))
    folder = tmp_path / "shards"
    write(folder)
    (folder / "train-00000-of-00001.parquet").unlink()
    for shard, rows in ((1, slice(3, 5)), (0, slice(0, 3)), (2, slice(5, 7))):
        path = folder / f"train-{shard:05}-of-00003.parquet"
        write_parquet(path, encoded(TRAIN[rows]), list(LABELS[rows]), NAMES)
    assert load(f"parquet:{folder}").fingerprint == whole.fingerprint
    (folder / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(DataError, match=r"has 2 train-\*\.parquet, their names say 3"):
        load(f"parquet:{folder}")


@pytest.mark.parametrize(
    "columns",
    [
        {"image": "image"},
        {"image": "picture", "label": "digit"},
        {"label": "fine_label", "extra": {"coarse_label": [0, 1, 0]}},
        {"extra": {"id": [7, 8, 9], "caption": ["x", "y", "z"]}},
    ],
    ids=str,
)
def test_columns_are_found_under_their_usual_names_or_alone(tmp_path: Path, columns: dict) -> None:
    extra = columns.pop("extra", {})
    for part, images, labels in (("train", TRAIN, LABELS), ("test", TEST, TEST_LABELS)):
        fill = {key: (values * 3)[: len(labels)] for key, values in extra.items()}
        write_parquet(tmp_path / f"{part}-0.parquet", encoded(images), list(labels), NAMES, extra=fill, **columns)
    dataset = load(f"parquet:{tmp_path}")
    assert dataset.train_labels.tolist() == LABELS
    assert dataset.classes == tuple(NAMES)


def test_without_recorded_names_classes_are_numbers(tmp_path: Path) -> None:
    assert load(write(tmp_path, names=None)).classes == ("0", "1", "2")


def test_damaged_metadata_counts_as_none(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write(tmp_path)
    for path in tmp_path.glob("*.parquet"):
        pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": "{"}), path)
    assert load(f"parquet:{tmp_path}").classes == ("0", "1", "2")


def test_class_names_of_the_parts_must_agree(tmp_path: Path) -> None:
    write(tmp_path)
    write_parquet(tmp_path / "test-00000-of-00001.parquet", encoded(TEST), list(TEST_LABELS), NAMES[::-1])
    with pytest.raises(DataError, match=r"class names of train \('cat', 'dog', 'eel'\) and test .* differ"):
        load(f"parquet:{tmp_path}")


def test_a_missing_part_says_what_is_there(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match=r"no test-\*\.parquet in .*; it holds: train-00000-of-00001\.parquet"):
        load(f"parquet:{tmp_path}")
    with pytest.raises(DataError, match="the folder does not exist"):
        load(f"parquet:{tmp_path / 'none'}")


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_truncated_file_is_named(tmp_path: Path, keep: int) -> None:
    source = write(tmp_path)
    path = tmp_path / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet is not a Parquet file that can be read"):
        load(source)


def test_ambiguous_and_missing_columns_are_listed(tmp_path: Path) -> None:
    write(tmp_path, label="first", extra=None)
    path = tmp_path / "train-00000-of-00001.parquet"
    write_parquet(path, encoded(TRAIN), list(LABELS), label="first", extra={"second": LABELS})
    with pytest.raises(
        DataError, match=r"2 candidates \(first, second\), none called label or fine_label.*first: int64"
    ):
        load(f"parquet:{tmp_path}")
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"label": LABELS, "text": ["x"] * 7}), path)
    with pytest.raises(DataError, match=r"one image column .* is needed, there is none; its columns are label: int64"):
        load(f"parquet:{tmp_path}")


@pytest.mark.parametrize("column", ["img", "label"])
def test_nulls_are_named_by_row_and_column(tmp_path: Path, column: str) -> None:
    write(tmp_path)
    images: list[bytes | None] = encoded(TRAIN)
    labels: list[int | None] = list(LABELS)
    (images if column == "img" else labels)[4] = None
    write_parquet(tmp_path / "train-00000-of-00001.parquet", images, labels, NAMES)
    with pytest.raises(DataError, match=f"row 4 of column '{column}' is null"):
        load(f"parquet:{tmp_path}")


def test_hidden_test_labels_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    write_parquet(tmp_path / "test-00000-of-00001.parquet", encoded(TEST), [-1, -1, -1], NAMES)
    with pytest.raises(DataError, match="hidden labels"):
        load(f"parquet:{tmp_path}")


def test_a_part_without_rows_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    write_parquet(tmp_path / "test-00000-of-00001.parquet", [], [], NAMES)
    with pytest.raises(DataError, match="has no rows"):
        load(f"parquet:{tmp_path}")


def test_a_damaged_image_is_named_by_row(tmp_path: Path) -> None:
    write(tmp_path)
    images = encoded(TRAIN)
    images[3] = b"not an image"
    write_parquet(tmp_path / "train-00000-of-00001.parquet", images, list(LABELS), NAMES)
    with pytest.raises(DataError, match=r"row 3 of .*train-00000-of-00001\.parquet is not an image"):
        load(f"parquet:{tmp_path}")
