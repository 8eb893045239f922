"""Augmentation: equal to the per-image reference, decided once, the same on every device and in every batch."""

import pytest
import torch
from scipy import stats
from torchvision.transforms import RandomCrop
from torchvision.transforms import functional as F

from sambench.datasets import Augmentation, Decisions, load, normalize, take
from sambench.datasets.augment_policies import POLICIES
from sambench.datasets.dataset import channel_statistics
from sambench.errors import ConfigError

from .builders import pixels

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
SHAPES = [(3, 32, 32), (1, 28, 28), (1, 8, 8), (3, 20, 33), (4, 9, 7)]


def constants(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return ((*MEAN, 0.5)[:channels], (*STD, 0.2)[:channels])


def reference(image: torch.Tensor, augmentation: Augmentation, decision: Decisions) -> torch.Tensor:
    """Augment one uint8 image (C, H, W) by torchvision's functions and plain loops."""
    channels, height, width = image.shape
    if decision.crop is not None:
        mode = "reflect" if augmentation.reflect else "constant"
        top, left = decision.crop[0].tolist()
        image = F.crop(F.pad(image, [augmentation.crop], padding_mode=mode), top, left, height, width)
    if decision.flip is not None and decision.flip[0]:
        image = F.hflip(image)
    mean, std = constants(channels)
    result = F.normalize(image.double() / 255, list(mean), list(std))
    if decision.cutout is not None:
        row, column = decision.cutout[0].tolist()
        start = augmentation.cutout // 2
        for y in range(row - start, row - start + augmentation.cutout):
            for x in range(column - start, column - start + augmentation.cutout):
                if 0 <= y < height and 0 <= x < width:
                    result[:, y, x] = 0
    return result


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "recipe",
    [
        "none",
        "crop:4",
        "crop:3:reflect",
        "flip",
        "cutout:5",
        "cutout:1",
        "cutout:100",
        "crop:2,flip,cutout:4",
        "crop:40",
    ],
)
def test_batches_equal_the_reference_image_by_image(recipe: str, shape: tuple[int, int, int], device: str) -> None:
    augmentation = Augmentation.parse(recipe)
    images = torch.from_numpy(pixels(24, shape))
    decisions = augmentation.draw(24, shape[1:], seed=7)
    batch = augmentation(images.to(device), decisions.to(device), *constants(shape[0]))
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    expected = torch.stack([reference(images[i], augmentation, decisions[i : i + 1]) for i in range(24)])
    torch.testing.assert_close(batch.cpu().double(), expected, rtol=2e-6, atol=2e-6)
    assert torch.equal(batch.cpu() == 0, expected == 0)


def test_crop_is_torchvisions_random_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.from_numpy(pixels(30, (3, 32, 32)))
    augmentation = Augmentation.parse("crop:4")
    decisions = augmentation.draw(30, (32, 32), seed=0)
    assert decisions.crop is not None
    offsets = iter(decisions.crop.tolist())
    monkeypatch.setattr(RandomCrop, "get_params", staticmethod(lambda image, size: (*next(offsets), *size)))
    expected = torch.stack([RandomCrop(32, padding=4)(image) for image in images])
    assert torch.equal(augmentation(images, decisions, *constants(3)), normalize(expected, *constants(3)))


def test_offsets_reach_as_far_as_torchvisions() -> None:
    padded = torch.zeros(3, 40, 40, dtype=torch.uint8)
    torch.manual_seed(0)
    theirs = {RandomCrop.get_params(padded, (32, 32))[0] for _ in range(500)}
    ours = Augmentation.parse("crop:4").draw(500, (32, 32), seed=0).crop
    assert ours is not None
    assert set(ours[:, 0].tolist()) == set(ours[:, 1].tolist()) == theirs == set(range(9))


def test_decisions_are_uniform_and_independent() -> None:
    decisions = Augmentation.parse("crop:4,flip,cutout:16").draw(40_000, (32, 24), seed=1)
    assert decisions.crop is not None
    assert decisions.flip is not None
    assert decisions.cutout is not None
    cells = torch.bincount(decisions.crop[:, 0] * 9 + decisions.crop[:, 1], minlength=81)
    assert stats.chisquare(cells.numpy()).pvalue > 1e-3
    centers = torch.bincount(decisions.cutout[:, 0] * 24 + decisions.cutout[:, 1], minlength=32 * 24)
    assert stats.chisquare(centers.numpy()).pvalue > 1e-3
    assert stats.binomtest(int(decisions.flip.sum()), 40_000).pvalue > 1e-3
    table = torch.stack([decisions.crop[decisions.flip == side, 0].bincount(minlength=9) for side in (0, 1)])
    assert stats.chi2_contingency(table.numpy()).pvalue > 1e-3
    # Number i of one kind and number i of another come from streams that share nothing.
    aligned = torch.stack([decisions.cutout[decisions.flip == side, 0].bincount(minlength=32) for side in (0, 1)])
    assert stats.chi2_contingency(aligned.numpy()).pvalue > 1e-3
    successive = torch.stack([decisions.crop[:-1, 0], decisions.crop[1:, 0]]).double()
    assert abs(torch.corrcoef(successive)[0, 1]) < 4 / 40_000**0.5


def test_a_seed_fixes_the_decisions_and_a_recipe_does_not_disturb_another() -> None:
    full = Augmentation.parse("crop:4,flip,cutout:16").draw(100, (32, 32), seed=5)
    again = Augmentation.parse("crop:4,flip,cutout:16").draw(100, (32, 32), seed=5)
    fewer = Augmentation.parse("crop:4,flip").draw(100, (32, 32), seed=5)
    other = Augmentation.parse("crop:4,flip,cutout:16").draw(100, (32, 32), seed=6)
    for key in ("crop", "flip", "cutout"):
        assert torch.equal(getattr(full, key), getattr(again, key))
        assert not torch.equal(getattr(full, key), getattr(other, key))
    assert torch.equal(full.crop, fewer.crop)
    assert torch.equal(full.flip, fewer.flip)
    assert fewer.cutout is None


@pytest.mark.parametrize("recipe", ["none", "crop:4,flip,cutout:16", "crop:1:reflect,trivialaugment"])
def test_batches_are_slices_of_the_whole(recipe: str) -> None:
    augmentation = Augmentation.parse(recipe)
    images = torch.from_numpy(pixels(50, (3, 16, 16)))
    decisions = augmentation.draw(50, (16, 16), seed=2)
    whole = augmentation(images, decisions, *constants(3))
    for size in (1, 7, 32):
        slices = [slice(start, start + size) for start in range(0, 50, size)]
        parts = [augmentation(images[part], decisions[part], *constants(3)) for part in slices]
        assert [len(decisions[part]) for part in slices] == [len(part) for part in parts]
        assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("threads", [1, 2])
def test_layout_and_threads_change_no_bit(threads: int) -> None:
    augmentation = Augmentation.parse("crop:4,flip,cutout:16")
    images = torch.from_numpy(pixels(64, (3, 32, 32)))
    decisions = augmentation.draw(64, (32, 32), seed=2)
    expected = augmentation(images, decisions, *constants(3))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        interleaved = images.contiguous(memory_format=torch.channels_last)
        assert torch.equal(augmentation(interleaved, decisions, *constants(3)), expected)
    finally:
        torch.set_num_threads(before)


def test_images_and_global_generator_stay_as_they_are() -> None:
    augmentation = Augmentation.parse("crop:4,flip,randaugment,cutout:16")
    images = torch.from_numpy(pixels(8, (3, 32, 32))).contiguous(memory_format=torch.channels_last)
    copy, state = images.clone(), torch.get_rng_state()
    augmentation(images, augmentation.draw(8, (32, 32), seed=0), *constants(3))
    assert torch.equal(images, copy)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_never_shares_memory_with_the_next() -> None:
    augmentation = Augmentation.parse("none")
    images = torch.from_numpy(pixels(4, (1, 8, 8)))
    decisions = augmentation.draw(4, (8, 8), seed=0)
    first = augmentation(images, decisions, *constants(1))
    kept = first.clone()
    augmentation(images.flip(0), decisions, *constants(1)).add_(1)
    assert torch.equal(first, kept)


@pytest.mark.parametrize("policy", ["", *POLICIES])
def test_no_value_is_read_back_from_the_device(policy: str) -> None:
    # The meta device has no values: an operation that had to look at one would raise.
    augmentation = Augmentation.parse(f"crop:4,flip,cutout:16{',' * bool(policy)}{policy}")
    images = torch.empty(256, 3, 32, 32, dtype=torch.uint8, device="meta")
    decisions = augmentation.draw(256, (32, 32), seed=0).to("meta")
    batch = augmentation(take(images, torch.arange(256, device="meta")), decisions, *constants(3))
    assert (batch.shape, batch.dtype, batch.device.type) == ((256, 3, 32, 32), torch.float32, "meta")


def test_changes_of_policies_stay_on_the_cpu() -> None:
    decisions = Augmentation.parse("flip,autoaugment").draw(3, (8, 8), seed=0).to("meta")
    assert decisions.policy is not None
    assert decisions.flip is not None
    assert (decisions.policy.device.type, decisions.flip.device.type) == ("cpu", "meta")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_take_is_indexing_in_the_same_layout(layout: torch.memory_format) -> None:
    images = torch.from_numpy(pixels(20, (3, 6, 5))).contiguous(memory_format=layout)
    index = torch.tensor([3, 3, 19, 0])
    batch = take(images, index)
    assert torch.equal(batch, images[index])
    assert batch.is_contiguous(memory_format=layout)


def test_normalized_training_pixels_have_mean_0_and_deviation_1() -> None:
    from sambench.datasets import load

    dataset = load("digits")
    batch = normalize(dataset.train_images, dataset.mean, dataset.std).double()
    assert abs(batch.mean()) < 1e-6
    assert abs(batch.std(correction=0) - 1) < 1e-6


def test_normalizing_never_writes_into_its_input() -> None:
    for images in (torch.from_numpy(pixels(2, (1, 4, 4))), torch.rand(2, 4, 4, 1).permute(0, 3, 1, 2)):
        copy = images.clone()
        normalize(images, *constants(1))
        assert torch.equal(images, copy)


@pytest.mark.parametrize(
    ("recipe", "canonical"),
    [
        ("none", "none"),
        ("crop:4,flip,cutout:16", "crop:4,flip,cutout:16"),
        ("cutout:16, flip ,crop:4", "crop:4,flip,cutout:16"),
        ("flip,crop:4:reflect", "crop:4:reflect,flip"),
        ("cutout:8,autoaugment,crop:4", "crop:4,autoaugment,cutout:8"),
        ("trivialaugment", "trivialaugment"),
        ("crop:04", "crop:4"),
    ],
)
def test_recipes_have_one_canonical_form(recipe: str, canonical: str) -> None:
    augmentation = Augmentation.parse(recipe)
    assert augmentation.recipe == canonical
    assert Augmentation.parse(canonical) == augmentation


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("crpo:4", "unknown augmentation 'crpo:4'; did you mean 'crop:PAD'"),
        ("flip,cutout", "unknown augmentation 'cutout'; did you mean 'cutout:SIZE'"),
        ("crop", "did you mean 'crop:PAD'"),
        ("crop:4:zero", "unknown augmentation 'crop:4:zero'"),
        ("flip:0.5", "unknown augmentation 'flip:0.5'"),
        ("randaug", "did you mean 'randaugment'"),
        ("crop:0", "'0' is not a number of pixels of at least 1"),
        ("crop:-1", "'-1' is not a number of pixels"),
        ("crop:2.5", r"'2\.5' is not a number of pixels"),
        ("cutout:", "'' is not a number of pixels"),
        ("flip,flip", "sets flip twice"),
        ("crop:4,crop:2", "sets crop twice"),
        ("autoaugment,randaugment", "sets policy twice"),
        ("none,flip", "augmentation 'none,flip': none cannot be combined"),
        ("", "unknown augmentation ''"),
        ("flip,,crop:4", "unknown augmentation ''"),
    ],
)
def test_bad_recipes_are_refused(recipe: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Augmentation.parse(recipe)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("none", Augmentation()),
        ("flip", Augmentation(flip=True)),
        ("crop:1", Augmentation(crop=1)),
        ("crop:512:reflect", Augmentation(crop=512, reflect=True)),
        ("cutout:1", Augmentation(cutout=1)),
        ("resize:512", Augmentation(resize=512)),
        ("randaugment", Augmentation(policy="randaugment")),
    ],
)
def test_what_a_recipe_does_not_name_is_off(recipe: str, expected: Augmentation) -> None:
    assert Augmentation.parse(recipe) == expected


@pytest.mark.parametrize("recipe", ["crop:513", "cutout:513", "resize:513", "resize:0"])
def test_pixels_are_one_to_512(recipe: str) -> None:
    with pytest.raises(ConfigError, match="at least 1 and at most 512"):
        Augmentation.parse(recipe)


@pytest.mark.parametrize("recipe", ["crop:3", "crop:3:reflect"])
@pytest.mark.parametrize("corner", [(0, 0), (0, 6), (6, 0), (6, 6)])
def test_the_last_image_reaches_every_corner(recipe: str, corner: tuple[int, int]) -> None:
    augmentation, image = Augmentation.parse(recipe), torch.from_numpy(pixels(1, (3, 9, 7)))
    decision = Decisions(1, crop=torch.tensor([corner]))
    found = augmentation(image, decision, *constants(3))[0].double()
    torch.testing.assert_close(found, reference(image[0], augmentation, decision), rtol=2e-6, atol=2e-6)


def test_a_reflection_takes_all_but_the_border() -> None:
    """Of 9 rows 8 can be mirrored beyond the first."""
    augmentation, image = Augmentation.parse("crop:8:reflect"), torch.from_numpy(pixels(1, (1, 9, 9)))
    decision = augmentation.draw(1, (9, 9), seed=0)
    found = augmentation(image, decision, *constants(1))[0].double()
    torch.testing.assert_close(found, reference(image[0], augmentation, decision), rtol=2e-6, atol=2e-6)


def test_rows_of_decisions_are_counted() -> None:
    decisions = Augmentation.parse("flip").draw(5, (8, 8), seed=0)
    assert [len(decisions[rows]) for rows in (slice(0, 2), slice(3, 9), slice(None), slice(5, 7))] == [2, 2, 5, 0]


def test_reflection_needs_larger_images() -> None:
    augmentation = Augmentation.parse("crop:8:reflect")
    with pytest.raises(ConfigError, match=r"crop:8:reflect needs images larger than 8 pixels, got \(8, 9\)"):
        augmentation.draw(1, (8, 9), seed=0)


def test_decisions_of_another_batch_are_refused() -> None:
    augmentation = Augmentation.parse("flip")
    with pytest.raises(ConfigError, match="3 decisions for 2 images"):
        augmentation(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), augmentation.draw(3, (4, 4), 0), *constants(3))


def test_resize_is_the_mean_of_what_a_pixel_covers_in_training_and_test_alike() -> None:
    data = load("digits")
    small = Augmentation.parse("crop:1,resize:4").prepare(data)
    for before, after in ((data.train_images, small.train_images), (data.test_images, small.test_images)):
        means = before.double().unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
        assert torch.equal(after, means.round().to(torch.uint8))
    assert small.fingerprint == data.fingerprint
    assert small.shape == Augmentation.parse("resize:4").shape(data.shape)
    assert small.mean == channel_statistics(small.train_images)[0]
    assert Augmentation.parse("crop:1,resize:4").recipe == "resize:4,crop:1"
    assert Augmentation.parse("crop:1").prepare(data) is data
