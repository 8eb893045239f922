"""Folders of image files."""

from pathlib import Path

import pytest
import torch

from sambench.datasets import load
from sambench.errors import DataError

from .builders import encode, pixels


def write(folder: Path, shape: tuple[int, ...] = (5, 4, 3), classes: tuple[str, ...] = ("ant", "bee")) -> str:
    for part, count in (("train", 3), ("test", 2)):
        for label, name in enumerate(classes):
            subfolder = folder / part / name
            subfolder.mkdir(parents=True)
            for index, image in enumerate(pixels(count, shape, seed=10 * label + count)):
                kind = "JPEG" if index == 1 else "PNG"
                (subfolder / f"{index}.{kind.lower()}").write_bytes(encode(image, kind))
    return f"imagefolder:{folder}"


def test_pixels_labels_and_names(tmp_path: Path) -> None:
    dataset = load(write(tmp_path / "insects"))
    assert dataset.name == "insects"
    assert dataset.classes == ("ant", "bee")
    assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test_labels.tolist() == [0, 0, 1, 1]
    assert dataset.shape == (3, 5, 4)
    first = torch.from_numpy(pixels(3, (5, 4, 3), seed=3))[0]
    assert torch.equal(dataset.train_images[0], first.permute(2, 0, 1))


def test_all_gray_is_one_channel_and_one_colored_image_makes_three(tmp_path: Path) -> None:
    source = write(tmp_path, shape=(5, 4))
    assert load(source).shape == (1, 5, 4)
    (tmp_path / "test" / "bee" / "9.png").write_bytes(encode(pixels(1, (5, 4, 3))[0]))
    dataset = load(source)
    assert dataset.shape == (3, 5, 4)
    assert torch.equal(dataset.train_images[:, 0], dataset.train_images[:, 2])


def test_the_label_of_a_file_is_part_of_the_cache_key(tmp_path: Path) -> None:
    source = write(tmp_path)
    before = load(source)
    ant, bee = (tmp_path / "train" / name / "0.png" for name in ("ant", "bee"))
    moved = ant.read_bytes()
    ant.write_bytes(bee.read_bytes())
    bee.write_bytes(moved)
    after = load(source)
    assert after.fingerprint != before.fingerprint
    assert torch.equal(after.train_images[0], before.train_images[3])
    # The same contents in the same order, under other names.
    (tmp_path / "train" / "bee" / "0.png").rename(tmp_path / "train" / "ant" / "9.png")
    assert load(source).train_labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_mixed_sizes_are_refused_with_the_file(tmp_path: Path) -> None:
    source = write(tmp_path)
    (tmp_path / "train" / "bee" / "2.png").write_bytes(encode(pixels(1, (9, 4, 3))[0]))
    with pytest.raises(DataError, match=r"5x4 \(9\), 9x4 \(1\); the first that is not 5x4 is .*train/bee/2\.png"):
        load(source)


def test_classes_must_agree(tmp_path: Path) -> None:
    source = write(tmp_path)
    (tmp_path / "test" / "bee").rename(tmp_path / "test" / "cow")
    with pytest.raises(DataError, match="same class folders; only one has bee, cow"):
        load(source)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_missing_or_empty_part_is_named(tmp_path: Path, part: str) -> None:
    source = write(tmp_path)
    (tmp_path / part).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=f"{part} is not a folder of class folders"):
        load(source)
    (tmp_path / part / "ant").mkdir(parents=True)
    with pytest.raises(DataError, match="ant"):
        load(source)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    source = write(tmp_path)
    path = tmp_path / "test" / "ant" / "0.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"test/ant/0\.png is not an image that Pillow can decode"):
        load(source)


def test_the_layout_of_imagenet_is_brought_to_one_size(tmp_path: Path) -> None:
    """Of images of several sizes the central squares, averaged; val stands for test."""
    big = pixels(1, (12, 20, 3))[0]
    for part, count in (("train", 3), ("val", 2)):
        for label, name in enumerate(("n01", "n02")):
            subfolder = tmp_path / part / name
            subfolder.mkdir(parents=True)
            for index in range(count):
                image = pixels(1, (8 + index, 8, 3), seed=10 * label + index)[0]
                (subfolder / f"{index}.png").write_bytes(encode(image))
    (tmp_path / "train" / "n01" / "0.png").write_bytes(encode(big))
    with pytest.raises(DataError, match="imagefolder64:DIR brings them"):
        load(f"imagefolder:{tmp_path}")
    dataset = load(f"imagefolder4:{tmp_path}")
    assert dataset.shape == (3, 4, 4)
    assert dataset.test_labels.tolist() == [0, 0, 1, 1]
    square = torch.from_numpy(big[:, 4:16].astype("float64")).view(4, 3, 4, 3, 3).mean((1, 3))
    assert (dataset.train_images[0].permute(1, 2, 0).double() - square).abs().max() < 1  # Pillow rounds twice
    assert load(f"imagefolder2:{tmp_path}").shape == (3, 2, 2)
    assert load(f"imagefolder4:{tmp_path}").fingerprint == dataset.fingerprint


def test_a_size_that_fits_into_no_memory_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path)
    for size in ("999999", "9" * 5000):
        with pytest.raises(DataError, match="fit into no memory"):
            load(source.replace("imagefolder", f"imagefolder{size}"))
