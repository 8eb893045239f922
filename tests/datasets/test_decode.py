"""Decoding: every kind of image file becomes one uint8 tensor."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sambench.datasets.decode import decode
from sambench.errors import DataError

from .builders import encode, pixels

GRAY, COLOR = pixels(3, (6, 5)), pixels(3, (6, 5, 3))


def names(sources: list) -> list[str]:
    return [f"image {index}" for index in range(len(sources))]


def saved(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def test_color_images_keep_every_pixel_and_their_order() -> None:
    many = pixels(600, (4, 3, 3))
    sources = [encode(image) for image in many]
    assert torch.equal(decode(sources, names(sources), "here"), torch.from_numpy(many).permute(0, 3, 1, 2))


def test_jpeg_decodes_as_pillow_decodes_it() -> None:
    for images in (pixels(300, (16, 24, 3)), pixels(300, (17, 9))):
        sources = [encode(image, "JPEG") for image in images]
        expected = np.stack([np.asarray(Image.open(io.BytesIO(source))) for source in sources])
        expected = expected.transpose(0, 3, 1, 2) if expected.ndim == 4 else expected[:, None]
        assert torch.equal(decode(sources, names(sources), "here"), torch.from_numpy(expected))


def test_other_color_spaces_become_rgb() -> None:
    flat = Image.new("RGB", (5, 6), (10, 200, 30))
    sources = [saved(flat), saved(flat.convert("CMYK"), "JPEG"), saved(flat.convert("L"), "JPEG")]
    expected = np.stack([np.asarray(Image.open(io.BytesIO(source)).convert("RGB")) for source in sources])
    assert torch.equal(decode(sources, names(sources), "here"), torch.from_numpy(expected).permute(0, 3, 1, 2))


@pytest.mark.parametrize("keep", [2, 100, -1, -20])
def test_a_truncated_jpeg_is_named(keep: int) -> None:
    whole = encode(COLOR[0], "JPEG")
    with pytest.raises(DataError, match="image 1 is not an image that Pillow can decode"):
        decode([whole, whole[:keep], whole], names([0, 1, 2]), "here")


def test_files_and_bytes_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(COLOR[0]))
    assert torch.equal(decode([tmp_path / "a.png"], ["a"], "here"), decode([encode(COLOR[0])], ["a"], "here"))


def test_all_gray_stays_one_channel() -> None:
    sources = [encode(image) for image in GRAY]
    assert torch.equal(decode(sources, names(sources), "here"), torch.from_numpy(GRAY).unsqueeze(1))


def test_gray_among_color_becomes_three_equal_channels() -> None:
    result = decode([encode(GRAY[0]), encode(COLOR[0])], ["a", "b"], "here")
    assert torch.equal(result[0], torch.from_numpy(GRAY[0]).expand(3, 6, 5))
    assert torch.equal(result[1], torch.from_numpy(COLOR[0]).permute(2, 0, 1))


def test_palettes_transparency_and_single_bits_are_resolved() -> None:
    flat = Image.new("RGB", (5, 6), (10, 200, 30))
    palette, transparent = saved(flat.quantize(4)), saved(flat.convert("RGBA"))
    assert decode([palette, transparent], ["a", "b"], "here")[:, :, 0, 0].tolist() == [[10, 200, 30]] * 2
    bits = saved(Image.new("1", (5, 6), 1))
    assert decode([bits], ["a"], "here").unique().tolist() == [255]


def test_the_odd_size_is_named() -> None:
    sources = [encode(COLOR[0]), encode(COLOR[1]), encode(pixels(1, (7, 5, 3))[0])]
    with pytest.raises(DataError, match=r"here: .*2 different sizes.*6x5 \(2\), 7x5 \(1\).*not 6x5 is image 2"):
        decode(sources, names(sources), "here")


@pytest.mark.parametrize("damage", [b"", b"no image", encode(COLOR[0])[:60]])
def test_files_that_cannot_be_decoded_are_named(damage: bytes) -> None:
    with pytest.raises(DataError, match="image 1 is not an image that Pillow can decode"):
        decode([encode(COLOR[0]), damage], names([0, 1]), "here")


def png(colors: int, bits: int, side: int = 4) -> bytes:
    """Write a PNG of zeros by hand, of a kind that Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colors]
    rows = (b"\0" + bytes(side * channels * bits // 8)) * side
    header = struct.pack(">IIBBBBB", side, side, bits, colors, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("colors", [0, 2, 4, 6], ids=["gray", "rgb", "gray-alpha", "rgb-alpha"])
def test_more_than_8_bits_is_refused_rather_than_clipped(colors: int) -> None:
    assert decode([png(colors, 8)], names([0]), "here").shape == (1, 1 if colors in (0, 4) else 3, 4, 4)
    with pytest.raises(DataError, match="image 0 has more than 8 bits a channel"):
        decode([png(colors, 16)], names([0]), "here")
