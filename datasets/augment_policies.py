"""Learned and random augmentation policies: which changes are made to each image of an epoch, and making them.

The policies are torchvision's: which changes there are, how often, and how large. Everything random is drawn for all
images at once; a batch is then changed by one call for each kind of change, whatever its images' magnitudes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..seeding import generator
from .dataset import send
from .image_changes import CHANGES


def _transforms() -> Any:
    from torchvision.transforms import v2

    return v2


POLICIES: dict[str, Callable[[], torch.nn.Module]] = {
    "autoaugment": lambda: _transforms().AutoAugment(_transforms().AutoAugmentPolicy.CIFAR10),
    "randaugment": lambda: _transforms().RandAugment(),
    "trivialaugment": lambda: _transforms().TrivialAugmentWide(),
}
"""Name -> function that builds torchvision's transform."""


@dataclass(frozen=True)
class _Choices:
    """What a policy chooses from: P choices, all equally likely, of R changes one after the other.

    Attributes:
        draws: choices that are made for an image, one after the other.
        kind: int64 (P, R), numbers of changes in the order of :data:`CHANGES`.
        often: float64 (P, R), probability that a chosen change is made.
        signed: bool (P, R), whether the magnitude is negative half of the time.
        magnitude: float64 (P, R, M), equally likely magnitudes.
    """

    draws: int
    kind: Tensor
    often: Tensor
    signed: Tensor
    magnitude: Tensor


def draw_policy(name: str, count: int, size: tuple[int, int], seed: int) -> Tensor:
    """Draw what a policy does to so many images, on the CPU.

    Args:
        name: a key of :data:`POLICIES`.
        count: number of images.
        size: height and width of the images.
        seed: of the draws.

    Returns:
        float64 (count, changes, 2): number of the kind of change in the order of :data:`CHANGES`, and its magnitude.
    """
    choices, stream = _choices(name, *size), generator("policy", seed)
    chosen = torch.randint(len(choices.kind), (count, choices.draws), generator=stream)
    kind, often, signed = (of[chosen].flatten(1) for of in (choices.kind, choices.often, choices.signed))
    made = torch.rand(kind.shape, dtype=torch.float64, generator=stream) < often
    minus = torch.randint(2, kind.shape, generator=stream).bool() & signed
    which = torch.randint(choices.magnitude.shape[-1], kind.shape, generator=stream)
    rows = torch.arange(choices.kind.numel()).view(choices.kind.shape)[chosen].flatten(1)
    magnitude = choices.magnitude.flatten(0, 1)[rows, which]
    return torch.stack([torch.where(made, kind, 0).double(), torch.where(minus, -magnitude, magnitude)], -1)


def apply_policy(pixels: Tensor, changes: Tensor) -> Tensor:
    """Change each image of a batch as it was drawn.

    Args:
        pixels: images, uint8 (B, H, W, C) with 1 or 3 channels; not modified.
        changes: of these images, (B, changes, 2) of :func:`draw_policy`, on the CPU.

    Returns:
        uint8 (B, H, W, C), contiguous.
    """
    images = pixels.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
    for kinds, magnitudes in (one.unbind(-1) for one in changes.unbind(1)):
        for number, change in enumerate(CHANGES.values()):
            if number and len(chosen := (kinds == number).nonzero()[:, 0]):  # number 0 leaves an image as it is
                at = send(chosen, images.device)
                images[at] = change(images[at], magnitudes[chosen])
    return images.permute(0, 2, 3, 1).contiguous()


@cache
def _choices(name: str, height: int, width: int) -> _Choices:
    """Read what torchvision's policy chooses from, for images of a size."""
    policy: Any = POLICIES[name]()
    numbers, space = {kind: number for number, kind in enumerate(CHANGES)}, policy._AUGMENTATION_SPACE
    bins = getattr(policy, "num_magnitude_bins", 10)
    rows = getattr(policy, "_policies", None) or [[(kind, 1.0, getattr(policy, "magnitude", None))] for kind in space]

    def magnitudes(kind: str, at: int | None) -> Tensor:
        found = space[kind][0](bins, height, width)
        if found is None:
            return torch.zeros(1)
        return found if at is None else found[at : at + 1]

    sizes = [[magnitudes(kind, at).double() for kind, _, at in row] for row in rows]
    most = max(len(one) for row in sizes for one in row)
    return _Choices(
        draws=getattr(policy, "num_ops", 1),
        kind=torch.tensor([[numbers[kind] for kind, *_ in row] for row in rows]),
        often=torch.tensor([[often for _, often, _ in row] for row in rows], dtype=torch.float64),
        signed=torch.tensor([[space[kind][1] for kind, *_ in row] for row in rows]),
        magnitude=torch.stack([torch.stack([one.expand(most) for one in row]) for row in sizes]),
    )
