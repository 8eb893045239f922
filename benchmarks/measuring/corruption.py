"""Corruptions of images in [0, 1] that are plain tensor code, at five severities; named as ours, for any data set.

They follow the kinds of Hendrycks & Dietterich 2019 (arXiv 1903.12261) with severities of our own, so that values are
not those of CIFAR-10-C.
"""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import unknown

SEVERITIES = 5

Corruption = Callable[[Tensor, int, torch.Generator], Tensor]
"""Takes images in [0, 1], (n, C, H, W), a severity from 1 to 5 and a stream; returns images, clipped later."""

CORRUPTIONS: "dict[str, Corruption]" = {}
"""The corruptions by name, in the order of this file."""


def _add(function: Corruption) -> Corruption:
    CORRUPTIONS[function.__name__] = function
    return function


@_add
def gaussian_noise(images: Tensor, severity: int, random: torch.Generator) -> Tensor:
    """Add normal noise of standard deviation .02 to .18."""
    deviation = (0.02, 0.04, 0.08, 0.12, 0.18)[severity - 1]
    return images + deviation * torch.randn(images.shape, generator=random).to(images)


@_add
def shot_noise(images: Tensor, severity: int, random: torch.Generator) -> Tensor:
    """Replace every value by a Poisson count of mean value times 500 to 30, divided by the same."""
    photons = (500, 250, 100, 60, 30)[severity - 1]
    return (torch.poisson((images * photons).cpu(), generator=random) / photons).to(images)


@_add
def impulse_noise(images: Tensor, severity: int, random: torch.Generator) -> Tensor:
    """Make 1 to 12 % of the values black or white."""
    share = (0.01, 0.03, 0.05, 0.08, 0.12)[severity - 1]
    chance = torch.rand(images.shape, generator=random).to(images)
    return torch.where(chance < share / 2, 0.0, torch.where(chance < share, 1.0, images))


@_add
def blur(images: Tensor, severity: int, random: torch.Generator) -> Tensor:
    """Blur by a Gaussian of standard deviation .4 to 1.2 pixels."""
    sigma = (0.4, 0.6, 0.8, 1.0, 1.2)[severity - 1]
    reach = torch.arange(-3, 4, device=images.device, dtype=images.dtype)
    bell = torch.exp(-0.5 * (reach / sigma) ** 2)
    kernel = torch.outer(bell, bell) / bell.sum() ** 2
    channels = images.shape[1]
    padded = F.pad(images, (3, 3, 3, 3), mode="replicate")
    return F.conv2d(padded, kernel.expand(channels, 1, 7, 7), groups=channels)


@_add
def brightness(images: Tensor, severity: int, random: torch.Generator) -> Tensor:
    """Add .05 to .3 to every value."""
    return images + (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]


@_add
def contrast(images: Tensor, severity: int, random: torch.Generator) -> Tensor:
    """Shrink the distance to the mean of the image and channel to 75 to 15 %."""
    mean = images.mean((2, 3), keepdim=True)
    return mean + (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1] * (images - mean)


@_add
def pixelate(images: Tensor, severity: int, random: torch.Generator) -> Tensor:
    """Reduce to 75 to 30 % of the height and width, and enlarge again, each pixel from the nearest."""
    share = (0.75, 0.6, 0.5, 0.4, 0.3)[severity - 1]
    height, width = images.shape[2:]
    size = max(1, round(height * share)), max(1, round(width * share))
    small = F.interpolate(images, size, mode="bilinear", antialias=True)
    return F.interpolate(small, (height, width), mode="nearest-exact")


@_add
def jpeg(images: Tensor, severity: int, random: torch.Generator) -> Tensor:
    """Compress as JPEG of quality 80 to 10, by Pillow, and read again; of other than three channels, each by itself."""
    from PIL import Image

    quality = (80, 65, 58, 50, 10)[severity - 1]
    levels = (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    in_color = images.shape[1] == 3
    planes = levels.permute(0, 2, 3, 1).numpy() if in_color else levels.flatten(0, 1).numpy()
    found = []
    for plane in planes:
        buffer = BytesIO()
        Image.fromarray(plane).save(buffer, "JPEG", quality=quality)
        found.append(np.asarray(Image.open(buffer)))
    back = torch.from_numpy(np.stack(found)).to(images) / 255
    return back.permute(0, 3, 1, 2) if in_color else back.view(images.shape)


def corrupt(images: Tensor, kind: str, severity: int, random: torch.Generator) -> Tensor:
    """Return corrupted images in [0, 1].

    Raises:
        ConfigError: an unknown kind.
    """
    if kind not in CORRUPTIONS:
        raise unknown("corruption", kind, CORRUPTIONS)
    return CORRUPTIONS[kind](images, severity, random).clamp(0, 1)
