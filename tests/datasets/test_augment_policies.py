"""AutoAugment and its relatives: torchvision's results, one seed per image."""

import pytest
import torch

from sambench.datasets.augment_policies import POLICIES, apply_policy

from .builders import pixels

SEEDS = torch.tensor([5, 6, 7, 2**61, 5])


@pytest.mark.parametrize("name", POLICIES)
def test_each_image_gets_what_torchvision_gives_under_its_seed(name: str) -> None:
    batch = torch.from_numpy(pixels(5, (16, 16, 3)))
    result = apply_policy(name, batch, SEEDS)
    assert result.dtype == torch.uint8
    assert result.is_contiguous()
    for image, seed, found in zip(batch, SEEDS.tolist(), result, strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = POLICIES[name]()(image.permute(2, 0, 1).contiguous())
        assert torch.equal(found.permute(2, 0, 1), expected)


@pytest.mark.parametrize("name", POLICIES)
def test_images_are_changed_and_differently(name: str) -> None:
    batch = torch.from_numpy(pixels(1, (16, 16, 3))).expand(40, 16, 16, 3)
    result = apply_policy(name, batch, torch.arange(40))
    assert len({bytes(image.numpy().data) for image in result}) > 10


@pytest.mark.parametrize("name", POLICIES)
def test_gray_images_work(name: str) -> None:
    given = torch.from_numpy(pixels(5, (8, 8, 1)))
    before = given.clone()
    result = apply_policy(name, given, SEEDS)
    assert result.shape == (5, 8, 8, 1)
    assert torch.equal(given, before)


@pytest.mark.parametrize("name", POLICIES)
def test_the_global_generator_has_no_effect_and_does_not_change(name: str) -> None:
    batch = torch.from_numpy(pixels(5, (16, 16, 3)))
    torch.manual_seed(1)
    first, state = apply_policy(name, batch, SEEDS), torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(apply_policy(name, batch, SEEDS), first)


def test_the_global_generator_is_restored_when_a_policy_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_image: torch.Tensor) -> torch.Tensor:
        torch.rand(1)
        raise RuntimeError("no")

    monkeypatch.setitem(POLICIES, "failing", lambda: fail)
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="no"):
        apply_policy("failing", torch.zeros(1, 4, 4, 3, dtype=torch.uint8), torch.tensor([1]))
    assert torch.equal(torch.get_rng_state(), state)
