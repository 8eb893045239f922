"""Decodes images (JPEG, PNG, ...) into one uint8 tensor, on several threads."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import DataError

# Pillow decodes without the interpreter lock, so threads help for all but tiny images; more of them would take cores
# from other runs.
_THREADS = 2
_BLOCK = 256


def decode(sources: Sequence[bytes | Path], names: Sequence[str], collection: str) -> Tensor:
    """Decode images of one size.

    Args:
        sources: the N encoded images, or their files.
        names: name of each image in error messages, such as its path.
        collection: name of all images together in error messages, such as their folder.

    Returns:
        uint8 (N, C, H, W). C is 1 if every image is gray, else 3: gray images among colored ones get three equal
        channels, palettes are resolved, transparency is dropped.

    Raises:
        DataError: if an image cannot be decoded, has more than 8 bits a channel, or differs in size.
    """
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(sources), _BLOCK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        decoded = pool.map(lambda block: list(map(_decode_one, sources[block], names[block])), blocks)
        arrays = [array for block in decoded for array in block]
    sizes = Counter(array.shape[1:] for array in arrays)
    if len(sizes) > 1:
        usual = sizes.most_common(1)[0][0]
        odd = next(index for index, array in enumerate(arrays) if array.shape[1:] != usual)
        listed = ", ".join(f"{h}x{w} ({n})" for (h, w), n in sizes.most_common(4))
        raise DataError(
            f"{collection}: the images have {len(sizes)} different sizes, as height x width (count): {listed}; the "
            f"first that is not {usual[0]}x{usual[1]} is {names[odd]}. Resize them to one size first"
        )
    channels = max(array.shape[0] for array in arrays)
    return torch.from_numpy(np.stack([np.broadcast_to(array, (channels, *array.shape[1:])) for array in arrays]))


def _decode_one(source: bytes | Path, name: str) -> np.ndarray:
    """Return uint8 (1, H, W) for a gray image and (3, H, W) for any other."""
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(
                    f"{name} has more than 8 bits a channel (Pillow mode {image.mode!r}); convert it to 8 bits first"
                )
            mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
            pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is not an image that Pillow can decode: {error}") from error
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)
