"""Training data without what there is to learn: random labels, pixels in another order."""

import torch
from torch import Tensor

from ..errors import unknown
from ..seeding import generator

LABELS = ("given", "random")
PIXELS = ("given", "shuffled", "random")
BLOCK = 1024
"""Images whose orders of pixels are drawn together: those of 50,000 images would take half a gigabyte."""


def draw_labels(labels: Tensor, kind: str, classes: int, seed: int) -> Tensor:
    """Replace all labels by ones drawn uniformly from all classes, whatever the images show.

    Args:
        labels: class of each example, int64 (N,); not modified.
        kind: ``"given"`` leaves them, ``"random"`` draws.
        classes: number of classes.
        seed: the seed of the run.

    Raises:
        ConfigError: for an unknown kind.

    References:
        Zhang et al., "Understanding deep learning requires rethinking generalization", 2016, arXiv 1611.03530.
    """
    if kind not in LABELS:
        raise unknown("labels", kind, LABELS)
    if kind == "given":
        return labels
    return torch.randint(classes, labels.shape, generator=generator("random labels", seed))


def order_pixels(images: Tensor, kind: str, part: int, seed: int) -> Tensor:
    """Put the pixels of images into another order; the channels of a pixel stay together.

    Args:
        images: uint8 (N, C, H, W); not modified.
        kind: ``"given"`` leaves them; ``"shuffled"`` has one order for all images of all parts; ``"random"`` has an
            order of its own for every image.
        part: number of the part of the data set that they are; with ``"random"`` each has a stream of its own.
        seed: the seed of the run.

    Returns:
        uint8 (N, C, H, W); ``images`` itself if nothing changes.

    Raises:
        ConfigError: for an unknown kind.

    References:
        As for :func:`draw_labels`.
    """
    if kind not in PIXELS:
        raise unknown("pixels", kind, PIXELS)
    if kind == "given":
        return images
    flat, size = images.flatten(2), images[0, 0].numel()
    if kind == "shuffled":
        return flat[:, :, torch.randperm(size, generator=generator("shuffled pixels", seed))].view_as(images)
    stream, blocks = generator("random pixels", seed, part), list[Tensor]()
    for block in flat.split(BLOCK):
        order = torch.rand(len(block), 1, size, generator=stream).argsort(-1)
        blocks.append(block.gather(-1, order.expand_as(block)))
    return torch.cat(blocks).view_as(images)
