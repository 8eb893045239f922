"""Learned and random augmentation policies, through torchvision: one independently seeded decision per example.

torchvision is imported when a policy is applied: with it comes torch's compiler, which takes a second to import.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _transforms() -> Any:
    from torchvision.transforms import v2

    return v2


POLICIES: dict[str, Callable[[], torch.nn.Module]] = {
    "autoaugment": lambda: _transforms().AutoAugment(_transforms().AutoAugmentPolicy.CIFAR10),
    "randaugment": lambda: _transforms().RandAugment(),
    "trivialaugment": lambda: _transforms().TrivialAugmentWide(),
}
"""Name -> function that builds the policy."""


def apply_policy(name: str, pixels: Tensor, seeds: Tensor) -> Tensor:
    """Apply a policy to each image of a batch.

    torchvision draws from the global CPU generator. It is seeded for every image and restored afterwards, so that
    the result depends on the seeds only and other users of the generator are not disturbed.

    Args:
        name: a key of :data:`POLICIES`.
        pixels: images, uint8 (B, H, W, C).
        seeds: seed of each image, int64 (B,) on the CPU.

    Returns:
        uint8 (B, H, W, C), contiguous.
    """
    policy = POLICIES[name]()
    before = torch.default_generator.get_state()
    try:
        results = []
        for image, seed in zip(pixels.permute(0, 3, 1, 2), seeds.tolist(), strict=True):
            torch.default_generator.manual_seed(seed)
            results.append(policy(image.contiguous()))
    finally:
        torch.default_generator.set_state(before)
    return torch.stack(results).permute(0, 2, 3, 1).contiguous()
