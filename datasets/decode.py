"""Decodes images (PNG, JPEG, WebP, BMP, GIF) into one uint8 tensor, on several threads."""

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..units import size

if TYPE_CHECKING:
    from PIL import Image

# Pillow decodes without the interpreter lock, so threads help for all but tiny images; more of them would take cores
# from other runs.
_THREADS = 2
_BLOCK = 256
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
"""What data sets come in. Pillow knows many more; some of them start other programs (EPS: Ghostscript)."""
_MOST_PIXELS = 4096 * 4096


def decode(sources: Sequence[bytes | Path], names: Sequence[str], collection: str, side: int | None = None) -> Tensor:
    """Decode images of one size, or bring them to one.

    With a side, the central square of an image is averaged down to so many pixels, or enlarged to them; a JPEG is read
    at a half, a quarter or an eighth of its size where that is still twice what is asked for.

    Args:
        sources: the N encoded images, or their files.
        names: name of each image in error messages, such as its path.
        collection: name of all images together in error messages, such as their folder.
        side: height and width that every image is brought to; None to take them as they are.

    Returns:
        uint8 (N, C, H, W). C is 1 if every image is gray, else 3: gray images among colored ones get three equal
        channels, palettes are resolved, transparency is dropped.

    Raises:
        DataError: if an image cannot be decoded, has more than 8 bits a channel or too many pixels, or differs in size;
            sizes are checked before anything is decoded.
    """
    from PIL import Image

    blocks = [slice(start, start + _BLOCK) for start in range(0, len(sources), _BLOCK)]
    with ThreadPoolExecutor(_THREADS) as pool, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if side is None:
            headers = pool.map(lambda block: list(map(_size, sources[block], names[block])), blocks)
            _check_sizes([one for block in headers for one in block], names, collection)
        else:
            _check_room(len(sources), (side, side), collection)
        one = partial(_decode_one, side=side)
        decoded = pool.map(lambda block: list(map(one, sources[block], names[block])), blocks)
        arrays = [array for block in decoded for array in block]
    channels = max(array.shape[0] for array in arrays)
    return torch.from_numpy(np.stack([np.broadcast_to(array, (channels, *array.shape[1:])) for array in arrays]))


def _check_sizes(found: Sequence[tuple[int, int]], names: Sequence[str], collection: str) -> None:
    """Refuse images of different sizes, and more of them than memory holds, before any of them is decoded."""
    sizes = Counter(found)
    usual = sizes.most_common(1)[0][0]
    if len(sizes) > 1:
        odd = next(index for index, one in enumerate(found) if one != usual)
        listed = ", ".join(f"{h}x{w} ({n})" for (h, w), n in sizes.most_common(4))
        raise DataError(
            f"{collection}: the images have {len(sizes)} different sizes, as height x width (count): {listed}; the "
            f"first that is not {usual[0]}x{usual[1]} is {names[odd]}. Resize them to one size first; of folders, "
            "imagefolder64:DIR brings them to 64x64 pixels, and likewise"
        )
    _check_room(len(found), usual, collection)


def _check_room(count: int, shape: tuple[int, int], collection: str) -> None:
    needed, memory = count * shape[0] * shape[1], os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise DataError(
            f"{collection}: {count:,} images of {shape[0]}x{shape[1]} pixels need {size(needed)} and more, this "
            f"machine has {size(memory)}. Make them smaller first"
        )


@contextmanager
def _opened(source: bytes | Path, name: str) -> "Iterator[Image.Image]":
    """Open an image, of which Pillow has then read the header alone; what is wrong with it names it."""
    from PIL import Image

    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS) as image:
            yield image
    except DataError:
        raise
    except Exception as error:  # damage surfaces as almost any exception of Pillow's readers
        raise DataError(
            f"{name} is not an image that Pillow can decode as {', '.join(_FORMATS)}: {error!s:.200}"
        ) from error


def _size(source: bytes | Path, name: str) -> tuple[int, int]:
    """Return height and width of an image, from its header."""
    with _opened(source, name) as image:
        width, height = image.size
    if width * height > _MOST_PIXELS:
        raise DataError(
            f"{name} has {height}x{width} pixels, more than the {_MOST_PIXELS:,} that are decoded here; make the "
            "images smaller first"
        )
    return height, width


def _decode_one(source: bytes | Path, name: str, side: int | None) -> np.ndarray:
    """Return uint8 (1, H, W) for a gray image and (3, H, W) for any other."""
    from PIL import Image, ImageOps

    with _opened(source, name) as image:
        if side is not None:
            image.draft(None, (2 * side, 2 * side))
        raw = repr(getattr(image, "tile", ""))  # of colors of 16 bits Pillow keeps the upper 8 in silence
        if image.mode.startswith(("I", "F")) or ";16" in raw:
            raise DataError(
                f"{name} has more than 8 bits a channel (Pillow mode {image.mode!r}); convert it to 8 bits first"
            )
        mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
        plain = image if image.mode == mode else image.convert(mode)
        if side is not None:
            plain = ImageOps.fit(plain, (side, side), Image.Resampling.BOX)
        pixels = np.asarray(plain)
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)
