"""Learned and random augmentation policies, through torchvision: one independently seeded decision per example.

torchvision is imported when a policy is applied: with it comes torch's compiler, which takes a second to import.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .dataset import send


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

    torchvision decides, for one image after the other, and draws from the global CPU generator. It is seeded for every
    image and restored afterwards, so that the result depends on the seeds only and other users of the generator are not
    disturbed. Images that are to be changed alike are then changed together, to the same bits.

    Args:
        name: a key of :data:`POLICIES`.
        pixels: images, uint8 (B, H, W, C).
        seeds: seed of each image, int64 (B,) on the CPU.

    Returns:
        uint8 (B, H, W, C), contiguous.
    """
    images = pixels.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
    policy: Any = POLICIES[name]()
    decided = _decisions(policy, images.shape[1:], seeds)
    for place in range(max(map(len, decided), default=0)):
        alike: dict[tuple[str, float], list[int]] = {}
        for image, changes in enumerate(decided):
            if place < len(changes):
                alike.setdefault(changes[place], []).append(image)
        for how, chosen in alike.items():
            at = send(torch.tensor(chosen), images.device)
            images[at] = policy._apply_image_or_video_transform(
                images[at], *how, interpolation=policy.interpolation, fill=policy._fill
            )
    return images.permute(0, 2, 3, 1).contiguous()


def _decisions(policy: Any, shape: torch.Size, seeds: Tensor) -> list[list[tuple[str, float]]]:
    """Return what a policy does to images of a shape (C, H, W), one after the other: it runs, and nothing is done."""
    decided: list[list[tuple[str, float]]] = []
    blank = torch.zeros(shape, dtype=torch.uint8)

    def note(image: Tensor, kind: str, magnitude: float, **_: Any) -> Tensor:
        decided[-1].append((kind, magnitude))
        return image

    policy._apply_image_or_video_transform = note
    before = torch.default_generator.get_state()
    try:
        for seed in seeds.tolist():
            torch.default_generator.manual_seed(seed)
            decided.append([])
            policy(blank)
    finally:
        torch.default_generator.set_state(before)
        del policy._apply_image_or_video_transform
    return decided
