"""Data of others: what is damaged, huge or crafted is refused in words, and nothing is written or started."""

import contextlib
import os
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fuzzing import damaged, fed
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import CIFAR10

from sambench.datasets import decode as decoding
from sambench.datasets import load
from sambench.datasets.decode import decode
from sambench.errors import ConfigError, DataError, SambenchError

from .builders import Archive, encode, pixels, write_parquet

PIXELS = pixels(8, (5, 4, 3))
PICTURES = [encode(image) for image in PIXELS]


def folder_of_images(root: Path) -> Path:
    for number, content in enumerate(PICTURES):
        path = root / ("train", "test")[number % 2] / ("ant", "bee")[number // 4] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def folder_of_shards(root: Path, **columns) -> Path:
    for part in ("train", "test"):
        write_parquet(root / f"{part}-0.parquet", PICTURES[:4], [0, 1, 2, 1], ["ant", "bee", "cat"], **columns)
    return root


def plant(kind: str, image: Path, root: Path) -> None:
    """Put something into a folder of images that would give an image a second label, or never end."""
    match kind:
        case "file":
            (image.parent.parent / "bee" / "twice.png").symlink_to(image)
        case "folder":
            (image.parent.parent / "cow").symlink_to(image.parent)
        case "inner folder":
            (image.parent.parent / "bee" / "more").symlink_to(image.parent)
        case "loop":
            (image.parent / "again").symlink_to(image.parent)
        case "dangling":
            (image.parent / "none.png").symlink_to(root / "nowhere")
        case "pipe":
            os.mkfifo(image.parent / "pipe.png")


@pytest.mark.parametrize("kind", ["file", "folder", "inner folder", "loop", "dangling", "pipe"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_links_and_pipes_in_a_folder_of_images_are_refused(kind: str, part: str, tmp_path: Path) -> None:
    root = folder_of_images(tmp_path)
    plant(kind, next((root / part / "ant").iterdir()), root)
    with pytest.raises(DataError, match=r"is a link, which may show an image twice|pipe.png: images are files"):
        load(f"imagefolder:{root}")


def test_a_folder_of_images_may_itself_be_a_link_but_not_be_both_parts(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path / "there")
    (tmp_path / "here").mkdir()
    for part, target in (("train", "train"), ("test", "test")):
        (tmp_path / "here" / part).symlink_to(root / target)
    assert load(f"imagefolder:{tmp_path / 'here'}").fingerprint == load(f"imagefolder:{root}").fingerprint
    (tmp_path / "here" / "test").unlink()
    (tmp_path / "here" / "test").symlink_to(root / "train")
    with pytest.raises(DataError, match="train and test are one folder"):
        load(f"imagefolder:{tmp_path / 'here'}")


def test_hidden_files_and_folders_are_no_data(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path)
    before = load(f"imagefolder:{root}")
    for path in (root / "train" / ".ipynb_checkpoints", root / "train" / "ant" / ".thumbnails"):
        path.mkdir()
        (path / "0.png").write_bytes(PICTURES[0])
    (root / "train" / "ant" / "._0.png").write_bytes(b"what another system leaves beside a file")
    (root / "train" / "ant" / "README.md").write_text("a file that is no image")
    after = load(f"imagefolder:{root}")
    assert (after.classes, after.fingerprint) == (before.classes, before.fingerprint)


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\nb", b"a\x1b[31m"])
def test_names_of_classes_can_be_printed(name: bytes, tmp_path: Path) -> None:
    root = folder_of_images(tmp_path)
    for part in ("train", "test"):
        (root / part / "ant").rename(os.fsdecode(os.fsencode(root / part) + b"/" + name))
    with pytest.raises(DataError, match=r"a class folder .* whose name is no printable UTF-8"):
        load(f"imagefolder:{root}")


@pytest.mark.parametrize("kind", ["EPS", "TIFF", "PPM", "ICO", "PDF", "JPEG2000", "TGA", "PCX"])
def test_other_formats_are_never_opened(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ghostscript would be started for an EPS, whatever the name of its file."""
    for call in ("run", "Popen", "call", "check_call"):
        monkeypatch.setattr(subprocess, call, lambda *_a, **_k: pytest.fail("a program was started"))
    buffer = BytesIO()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(buffer, format=kind)
    with pytest.raises(DataError, match="is not an image that Pillow can decode as PNG, JPEG, WEBP, BMP, GIF"):
        decode([buffer.getvalue()], ["it"], "here")
    root = folder_of_images(tmp_path)
    (root / "train" / "ant" / "1.png").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match=r"1\.png is not an image"):
        load(f"imagefolder:{root}")
    (root / "train" / "ant" / "1.png").rename(root / "train" / "ant" / "1.eps")
    with pytest.raises(DataError, match=r"1\.eps: images are files that end in \.png"):
        load(f"imagefolder:{root}")


@pytest.mark.parametrize("size", [(9000, 9000), (20_000, 20_000), (65_535, 4097)])
def test_sizes_are_checked_before_an_image_is_decoded(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    header = encode(pixels(1, (5, 4, 3))[0])
    start = header.index(b"IHDR") + 4
    chunk = b"IHDR" + size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big") + header[start + 8 : start + 13]
    huge = header[: start - 4] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + header[start + 17 :]
    monkeypatch.setattr(decoding, "_decode_one", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(DataError, match=r"it has .* pixels, more than the|decompression bomb"):
        decode([huge], ["it"], "here")


def test_more_images_than_memory_holds_are_refused_before_one_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda _: 10)
    monkeypatch.setattr(decoding, "_decode_one", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(DataError, match="8 images of 5x4 pixels need 160 B and more, this machine has 100 B"):
        decode(PICTURES, ["one"] * 8, "here")


@pytest.mark.parametrize("label", [10**9, 2**31, 2**62, 2**63, 2**64 - 1])
def test_labels_are_checked_before_they_size_anything(label: int, tmp_path: Path) -> None:
    root = folder_of_shards(tmp_path)
    kind = pa.uint64() if label > 2**62 else pa.int64()
    for part in ("train", "test"):
        table = pq.read_table(root / f"{part}-0.parquet").replace_schema_metadata(None)
        labels = pa.array([0, 1, 2, label], kind)
        pq.write_table(table.set_column(1, "label", labels), root / f"{part}-0.parquet")
    with pytest.raises(DataError, match=r"too large for a class|is not a Parquet file that can be read"):
        load(f"parquet:{root}")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("abc", "the class names 'abc' in its metadata are no list of texts"),
        ([1, 2, 3], "no list of texts"),
        (["ant", "ant", "bee"], "at least two classes with different names are needed"),
        (["ant"], "at least two classes"),
        (["ant", "bee"], "but there are 2 classes"),
    ],
)
def test_names_of_classes_are_different_texts(names: object, message: str, tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_parquet(tmp_path / f"{part}-0.parquet", PICTURES[:4], [0, 1, 2, 1], names)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match=message):
        load(f"parquet:{tmp_path}")


def test_a_class_without_training_images_is_refused(tmp_path: Path) -> None:
    root = folder_of_shards(tmp_path)
    write_parquet(root / "train-0.parquet", PICTURES[:4], [0, 1, 0, 1], ["ant", "bee", "cat"])
    with pytest.raises(DataError, match="1 classes of the test part have no training image, first 'cat'"):
        load(f"parquet:{root}")


def test_metadata_may_be_nested_as_deep_as_it_likes(tmp_path: Path) -> None:
    root = folder_of_shards(tmp_path)
    for path in root.glob("*.parquet"):
        table = pq.read_table(path).replace_schema_metadata({"huggingface": "[" * 100_000})
        pq.write_table(table, path)
    assert load(f"parquet:{root}").classes == ("0", "1", "2")


@pytest.mark.parametrize("kind", ["parquet", "imagefolder"])
@pytest.mark.parametrize("place", ["x" * 5000, "~nouser/x", "a\0b", "/dev/null", "\udcff"])
def test_places_that_cannot_be_are_refused(kind: str, place: str) -> None:
    with pytest.raises((ConfigError, DataError)):
        load(f"{kind}:{place}")


def test_without_home_or_entry_in_passwd_the_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for variable in ("HOME", "XDG_CACHE_HOME", "SAMBENCH_DATA", "SAMBENCH_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigError, match="set HOME, or SAMBENCH_DATA and SAMBENCH_CACHE, to folders"):
        load("digits")
    monkeypatch.setenv("SAMBENCH_DATA", "/nowhere")
    monkeypatch.setenv("SAMBENCH_CACHE", "/nowhere")
    assert len(load("digits").classes) == 10


def add_link(tar: tarfile.TarFile, name: str, kind: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    tar.addfile(entry)


def add_file(tar: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = 4
    tar.addfile(entry, BytesIO(b"evil"))


@pytest.mark.parametrize(
    "add",
    [
        lambda tar, folder: add_link(tar, f"{folder}/link", tarfile.SYMTYPE),
        lambda tar, folder: add_link(tar, f"{folder}/link", tarfile.LNKTYPE),
        lambda tar, folder: add_link(tar, f"{folder}/pipe", tarfile.FIFOTYPE),
        lambda tar, folder: add_file(tar, f"{folder}/../../escaped"),
        lambda tar, folder: add_file(tar, "../escaped"),
        lambda tar, folder: add_file(tar, "/tmp/escaped"),
        lambda tar, folder: add_file(tar, "beside"),
    ],
    ids=["symbolic link", "hard link", "pipe", "inner ..", "..", "absolute", "beside its folder"],
)
def test_a_crafted_archive_is_refused_before_anything_is_written(
    add: Callable[[tarfile.TarFile, str], None],
    tmp_path: Path,
    cifar_archive: Callable[..., Archive],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = cifar_archive()
    with tarfile.open(archive.path, "w:gz") as tar:
        add_file(tar, f"{CIFAR10.base_folder}/data_batch_1")
        add(tar, CIFAR10.base_folder)
    monkeypatch.setattr("sambench.datasets.cifar.fetch", lambda *_: archive.path)  # its checksum is right
    monkeypatch.setattr(tarfile.TarFile, "extractall", lambda *_a, **_k: pytest.fail("it was unpacked"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz cannot be unpacked \(.* is no plain file in"):
        load("cifar10")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("keep", [0, 1, 100, -200])
def test_a_truncated_archive_with_a_right_checksum_is_refused(
    keep: int, tmp_path: Path, cifar_archive: Callable[..., Archive], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = cifar_archive()
    archive.path.write_bytes(archive.path.read_bytes()[:keep])
    monkeypatch.setattr("sambench.datasets.cifar.fetch", lambda *_: archive.path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=r"cannot be unpacked|does not hold the official files"):
        load("cifar10")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "change",
    [
        {"data": pixels(4, (3071,))},
        {"data": pixels(4, (3, 32, 32)).tolist()},
        {"data": pixels(3, (3072,))},
        {"labels": [0, 1, 2, 10]},
        {"labels": [0, 1, 2, -1]},
        {"labels": [0, 1, 2]},
        {"labels": ["a", "b", "c", "d"]},
        {"labels": None},
    ],
    ids=["short rows", "lists", "a row less", "label 10", "label -1", "a label less", "texts", "none"],
)
def test_archives_with_other_shapes_and_labels_are_refused(
    change: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Archive(CIFAR10, tmp_path / "data" / CIFAR10.filename, monkeypatch, change=change)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError):
        load("cifar10")
    assert sorted(tmp_path.rglob("*")) == before


def survives(source: str) -> None:
    """Load, or refuse in one message; any other exception fails the test."""
    with contextlib.suppress(SambenchError):
        assert load(source).train_images.dtype == torch.uint8


def shard() -> bytes:
    with TemporaryDirectory() as folder:
        return (folder_of_shards(Path(folder)) / "train-0.parquet").read_bytes()


@fed(damaged(shard()))
def test_damaged_shards_are_refused_in_words(folder: Path, content: bytes) -> None:
    (folder_of_shards(folder) / "train-0.parquet").write_bytes(content)
    survives(f"parquet:{folder}")


@fed(st.one_of(*(damaged(encode(PIXELS[0], kind)) for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF"))))
def test_damaged_images_are_refused_in_words(folder: Path, content: bytes) -> None:
    (folder_of_images(folder) / "train" / "ant" / "0.png").write_bytes(content)
    survives(f"imagefolder:{folder}")
