"""What augmentation policies do to images: each kind of change to a batch at once, by a magnitude for every image.

The changes are torchvision's (``torchvision.transforms.v2``), which takes one magnitude for all images of a call; here
each image has its own. Those without a magnitude are torchvision's functions themselves, imported when one is called:
with them comes torch's compiler, which takes a second to import.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from .dataset import send

WHITE = 255


def _functional() -> Any:
    from torchvision.transforms.v2 import functional

    return functional


def _each(values: Tensor, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a number for each image, (n,), in the shape and place to be combined with (n, C, H, W)."""
    return send(values.to(dtype), images.device).view(-1, 1, 1, 1)


def _blended(images: Tensor, other: Tensor, magnitude: Tensor) -> Tensor:
    """Go from what an image would be without some quality, over itself at magnitude 0, to more of that quality."""
    ratio = 1 + magnitude
    # the second product is not rounded, as in the fused operation of a sum with a factor
    part = other.double() * _each(1 - ratio, images).double()
    return _pixels((images * _each(ratio, images) + part).float())


def _pixels(values: Tensor) -> Tensor:
    return values.clamp_(0, WHITE).to(torch.uint8)


def _gray(images: Tensor) -> Tensor:
    return images if images.shape[1] == 1 else _functional().rgb_to_grayscale(images)


def _brightness(images: Tensor, magnitude: Tensor) -> Tensor:
    return _pixels(images * _each(1 + magnitude, images))


def _color(images: Tensor, magnitude: Tensor) -> Tensor:
    return images if images.shape[1] == 1 else _blended(images, _gray(images), magnitude)


def _contrast(images: Tensor, magnitude: Tensor) -> Tensor:
    return _blended(images, _gray(images).float().mean((1, 2, 3), keepdim=True), magnitude)


def _sharpness(images: Tensor, magnitude: Tensor) -> Tensor:
    """Blend each pixel that has eight neighbours with the mean of them and five times itself."""
    if min(images.shape[2:]) < 3:
        return images
    values = images.float()
    inner = values[..., 1:-1, 1:-1]
    kernel = _blur(images.device).expand(images.shape[1], 1, 3, 3)
    change = torch.nn.functional.conv2d(values, kernel, groups=images.shape[1]).round_() - inner
    inner.copy_(inner + change.double() * _each(1 - (1 + magnitude), images).double())
    return _pixels(values)


@cache  # never freed: on a GPU other streams may be reading it
def _blur(device: torch.device) -> Tensor:
    weights = torch.ones(3, 3, dtype=torch.float64)
    weights[1, 1] = 5
    return (weights / 13).float().to(device)


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    return images & _each((WHITE << (8 - bits.long())) & WHITE, images, torch.uint8)


def _solarize(images: Tensor, magnitude: Tensor) -> Tensor:
    return torch.where(images >= _each(WHITE * magnitude, images), WHITE - images, images)


def _from(images: Tensor, *rows: tuple[Tensor | float, Tensor | float, Tensor | float]) -> Tensor:
    """Take every pixel (x, y) from the nearest to (a x + b y + c, d x + e y + f), black beyond the border.

    Args:
        images: uint8 (n, C, H, W).
        rows: (a, b, c) and (d, e, f), each a number or one for every image; the middle of an image is (0, 0), and
            pixels are one apart.
    """
    count, _, height, width = images.shape
    matrix = torch.stack([torch.as_tensor(x, dtype=torch.float64).expand(count) for row in rows for x in row], 1)
    scale = torch.tensor([width / 2, height / 2], dtype=torch.float32)
    theta = send(matrix.float().view(count, 2, 3).transpose(1, 2) / scale, images.device)
    row = partial(torch.linspace, dtype=torch.float32, device=images.device)
    y, x = (row((1 - n) / 2, (n - 1) / 2, n) for n in (height, width))
    places = torch.stack(
        [x.expand(height, width), y[:, None].expand(height, width), torch.ones_like(x).expand(height, width)], -1
    )
    grid = places.reshape(1, -1, 3).expand(count, -1, -1).bmm(theta).view(count, height, width, 2)
    moved = torch.nn.functional.grid_sample(images.float(), grid, mode="nearest", align_corners=False)
    return moved.round_().to(torch.uint8)


def _shear_x(images: Tensor, share: Tensor) -> Tensor:
    return _from(images, (1, share, share * images.shape[2] / 2), (0, 1, 0))


def _shear_y(images: Tensor, share: Tensor) -> Tensor:
    return _from(images, (1, 0, 0), (share, 1, share * images.shape[3] / 2))


def _translate_x(images: Tensor, by: Tensor) -> Tensor:
    return _from(images, (1, 0, -by.trunc()), (0, 1, 0))


def _translate_y(images: Tensor, by: Tensor) -> Tensor:
    return _from(images, (1, 0, 0), (0, 1, -by.trunc()))


def _rotate(images: Tensor, degrees: Tensor) -> Tensor:
    angle = degrees.deg2rad()
    return _from(images, (angle.cos(), -angle.sin(), 0), (angle.sin(), angle.cos(), 0))


CHANGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Identity": lambda images, _: images,
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Rotate": _rotate,
    "Brightness": _brightness,
    "Color": _color,
    "Contrast": _contrast,
    "Sharpness": _sharpness,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": lambda images, _: _functional().autocontrast(images),
    "Equalize": lambda images, _: _functional().equalize(images),
    "Invert": lambda images, _: WHITE - images,
}
"""Name, as in torchvision -> function of images, uint8 (n, C, H, W) with 1 or 3 channels, and of their magnitudes,
float64 (n,) on the CPU; what it returns is of the shape and type of the images."""
