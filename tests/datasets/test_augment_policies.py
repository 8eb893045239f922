"""AutoAugment and its relatives: torchvision's changes, drawn as often as torchvision draws them."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from sambench.datasets.augment_policies import POLICIES, _choices, apply_policy, draw_policy
from sambench.datasets.image_changes import CHANGES

from .builders import pixels

NAMES = list(CHANGES)
BLENDED = ("Color", "Contrast", "Sharpness")
"""Sums of two products: some processors fuse one of them with the sum, and the last rounding may go the other way."""


def by_torchvision(policy: Any, image: Tensor, changes: Tensor) -> Tensor:
    """Return an image (H, W, C) as torchvision changes it."""
    changed = image.permute(2, 0, 1).contiguous()
    for number, magnitude in changes.tolist():
        changed = policy._apply_image_or_video_transform(
            changed, NAMES[int(number)], magnitude, interpolation=policy.interpolation, fill=policy._fill
        )
    return changed.permute(1, 2, 0)


def every_change(name: str, size: tuple[int, int]) -> Tensor:
    """Return each change that a policy makes at each magnitude, (n, 1, 2)."""
    choices = _choices(name, *size)
    kind = choices.kind[..., None].expand(choices.magnitude.shape)
    found = {(k, m) for k, m in zip(kind.flatten().tolist(), choices.magnitude.flatten().tolist(), strict=True)}
    signed = set(choices.kind[choices.signed].tolist())
    found |= {(k, -m) for k, m in found if k in signed}
    return torch.tensor(sorted(found), dtype=torch.float64)[:, None]


@pytest.mark.parametrize("shape", [(16, 16, 3), (32, 32, 3), (9, 14, 3), (8, 8, 1), (28, 28, 1)])
@pytest.mark.parametrize("name", POLICIES)
def test_an_image_in_a_batch_is_changed_as_torchvision_changes_it_alone(name: str, shape: tuple[int, int, int]) -> None:
    changes, policy = every_change(name, shape[:2]), POLICIES[name]()
    batch = torch.from_numpy(pixels(len(changes), shape))
    before, result = batch.clone(), apply_policy(batch, changes)
    assert result.dtype == torch.uint8
    assert result.is_contiguous()
    assert torch.equal(batch, before)
    for image, how, found in zip(batch, changes, result, strict=True):
        kind, apart = NAMES[int(how[0, 0])], (found.int() - by_torchvision(policy, image, how).int()).abs()
        assert apart.max() <= (kind in BLENDED), (kind, how[0, 1])
        assert (apart > 0).float().mean() < 0.05


@pytest.mark.parametrize("name", POLICIES)
def test_changes_follow_each_other(name: str) -> None:
    batch, changes = torch.from_numpy(pixels(64, (16, 16, 3))), draw_policy(name, 64, (16, 16), 0)
    one_by_one = batch
    for place in range(changes.shape[1]):
        one_by_one = apply_policy(one_by_one, changes[:, place : place + 1])
    assert torch.equal(apply_policy(batch, changes), one_by_one)


@pytest.mark.parametrize("name", POLICIES)
def test_changes_are_drawn_as_often_as_by_torchvision(name: str) -> None:
    """Three thousand images of each: the two tables of counts differ as two samples do."""
    count, policy, decided = 3000, POLICIES[name](), list[list[tuple[str, float]]]()

    def note(image: Tensor, kind: str, magnitude: float, **_: Any) -> Tensor:
        decided[-1].append((kind, magnitude))
        return image

    policy._apply_image_or_video_transform = note  # pyright: ignore[reportAttributeAccessIssue]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(count):
            decided.append([])
            policy(torch.zeros(3, 32, 32, dtype=torch.uint8))
    drawn = [[(NAMES[int(k)], m) for k, m in image] for image in draw_policy(name, count, (32, 32), 0).tolist()]

    def counted(images: list[list[tuple[str, float]]]) -> Counter[Any]:
        """Count what follows what, and each change by the sign of its magnitude."""
        real = [[change for change in image if change[0] != "Identity"] for image in images]
        pairs = Counter[Any](tuple(kind for kind, _ in image) for image in real)
        return pairs + Counter((kind, m > 0) for image in real for kind, m in image)

    possible = {(NAMES[int(kind)], round(m, 5)) for kind, m in every_change(name, (32, 32))[:, 0].tolist()}
    for images in (drawn, decided):
        found = {(kind, round(m, 5)) for image in images for kind, m in image if kind != "Identity"}
        assert found <= possible
        assert len(found) > 0.9 * len(possible)
    ours, theirs = counted(drawn), counted(decided)
    both = [(ours[key], theirs[key]) for key in ours.keys() | theirs if ours[key] + theirs[key] >= 10]
    assert sum(a + b for a, b in both) > 0.95 * (ours.total() + theirs.total())
    chi = sum((a - b) ** 2 / (a + b) for a, b in both)
    assert abs(chi - len(both)) < 4 * (2 * len(both)) ** 0.5  # four standard deviations


def test_magnitudes_are_equally_likely() -> None:
    changes = draw_policy("trivialaugment", 30_000, (32, 32), 0)[:, 0]
    shear = changes[changes[:, 0] == NAMES.index("ShearX"), 1].abs()
    counts = torch.unique(shear, return_counts=True)[1]
    assert len(counts) == 31
    assert ((counts - len(shear) / 31).abs() < 5 * (len(shear) / 31) ** 0.5).all()


@pytest.mark.parametrize("name", POLICIES)
def test_images_are_changed_and_differently(name: str) -> None:
    batch = torch.from_numpy(pixels(1, (16, 16, 3))).expand(40, 16, 16, 3)
    result = apply_policy(batch, draw_policy(name, 40, (16, 16), 0))
    assert len({bytes(image.numpy().data) for image in result}) > 10


@pytest.mark.parametrize("name", POLICIES)
def test_the_global_generator_has_no_effect_and_does_not_change(name: str) -> None:
    torch.manual_seed(1)
    state, first = torch.get_rng_state(), draw_policy(name, 5, (16, 16), 3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(draw_policy(name, 5, (16, 16), 3), first)
    assert not torch.equal(draw_policy(name, 5, (16, 16), 4), first)
