"""Augmentation as batched tensor code: all random decisions of an epoch are drawn first and applied batch by batch.

Drawing is separate from applying so that the decisions do not depend on the device, on the batch size or on where a run
was interrupted: example number i of an epoch always gets the i-th decision.
"""

import re
from dataclasses import dataclass, fields, replace
from functools import cache

import torch
from torch import Tensor

from ..errors import ConfigError, unknown
from ..seeding import generator
from .augment_policies import POLICIES, apply_policy, draw_policy
from .dataset import Dataset, channel_statistics, send

MOST_PIXELS = 512
_SYNTAX = ("none", "resize:SIZE", "crop:PAD", "crop:PAD:reflect", "flip", "cutout:SIZE", *POLICIES)


@dataclass(frozen=True, eq=False)
class Decisions:
    """The random decisions for n examples; ``None`` for operations that are not in the recipe.

    Attributes:
        count: number of examples n.
        crop: int64 (n, 2), row and column of the window's corner in the padded image.
        flip: bool (n,), whether to mirror left and right.
        policy: float64 (n, changes, 2), the kinds and magnitudes of the policy's changes.
        cutout: int64 (n, 2), row and column of the center of the erased square.
    """

    count: int
    crop: Tensor | None = None
    flip: Tensor | None = None
    policy: Tensor | None = None
    cutout: Tensor | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: slice) -> "Decisions":
        return Decisions(len(range(self.count)[rows]), **{key: value[rows] for key, value in self._tensors()})

    def to(self, device: torch.device | str) -> "Decisions":
        """Move the decisions to a device, except those of policies, by which the CPU sorts the images."""
        return replace(self, **{key: send(value, device) for key, value in self._tensors() if key != "policy"})

    def _tensors(self) -> list[tuple[str, Tensor]]:
        pairs = [(field.name, getattr(self, field.name)) for field in fields(self)[1:]]
        return [(key, value) for key, value in pairs if value is not None]


@dataclass(frozen=True)
class Augmentation:
    """The operations on every training image; :meth:`parse` reads them from a recipe.

    The order of application is fixed, whatever the order in the recipe: crop, flip, policy, normalization, cutout.

    Attributes:
        crop: pixels of padding on each side, before a window of the original size is cut out; 0 is off.
        reflect: pad by mirroring the image at its border, instead of black.
        flip: mirror left and right with probability 1/2.
        policy: ``"autoaugment"``, ``"randaugment"``, ``"trivialaugment"`` or ``None``.
        cutout: side of the erased square in pixels; 0 is off.
        resize: height and width that all images, of the test too, are brought to before anything else; 0 is off.
    """

    crop: int = 0
    reflect: bool = False
    flip: bool = False
    policy: str | None = None
    cutout: int = 0
    resize: int = 0

    @classmethod
    def parse(cls, recipe: str) -> "Augmentation":
        """Read a comma-separated recipe.

        Args:
            recipe: any of ``resize:SIZE``, ``crop:PAD``, ``crop:PAD:reflect``, ``flip``, ``cutout:SIZE`` and one of
                ``autoaugment``, ``randaugment``, ``trivialaugment``; or ``none``.

        Raises:
            ConfigError: for an unknown, repeated or incomplete token.

        Example:
            >>> Augmentation.parse("flip, crop:4, cutout:16").recipe
            'crop:4,flip,cutout:16'
        """
        tokens = [token.strip() for token in recipe.split(",")]
        if tokens == ["none"]:
            return cls()
        if "none" in tokens:
            raise ConfigError(f"augmentation {recipe!r}: none cannot be combined with other operations")
        crop, reflect, flip, policy, cutout, resize = 0, False, False, None, 0, 0
        kinds = []
        for token in tokens:
            match token.split(":"):
                case ["crop", pad, *border] if border in ([], ["reflect"]):
                    crop, reflect = _pixels(pad, token), bool(border)
                case ["flip"]:
                    flip = True
                case ["cutout", side]:
                    cutout = _pixels(side, token)
                case ["resize", side]:
                    resize = _pixels(side, token)
                case [name] if name in POLICIES:
                    policy = name
                case _:
                    raise unknown("augmentation", token, _SYNTAX)
            kinds.append("policy" if token in POLICIES else token.partition(":")[0])
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise ConfigError(f"augmentation {recipe!r} sets {kind} twice")
        return cls(crop, reflect, flip, policy, cutout, resize)

    @property
    def recipe(self) -> str:
        """The recipe in its canonical order; ``parse(recipe)`` gives an equal object."""
        tokens = [
            f"resize:{self.resize}" if self.resize else "",
            f"crop:{self.crop}{':reflect' * self.reflect}" if self.crop else "",
            "flip" if self.flip else "",
            self.policy or "",
            f"cutout:{self.cutout}" if self.cutout else "",
        ]
        return ",".join(filter(None, tokens)) or "none"

    def draw(self, count: int, size: tuple[int, int], seed: int) -> Decisions:
        """Draw the decisions for ``count`` examples, on the CPU.

        Each kind has a stream of its own: adding cutout to a recipe leaves crops and flips as they were.

        Args:
            count: number of examples, usually those of one epoch.
            size: height and width of the images.
            seed: the seed of this epoch's decisions, e.g. ``derive_seed("augment", seed, epoch)``.

        Raises:
            ConfigError: if the padding cannot be mirrored from images of this size.
        """
        height, width = size
        if self.reflect and self.crop >= min(size):
            raise ConfigError(f"crop:{self.crop}:reflect needs images larger than {self.crop} pixels, got {size}")
        crop = flip = policy = cutout = None
        if self.crop:
            crop = torch.randint(2 * self.crop + 1, (count, 2), generator=generator("crop", seed))
        if self.flip:
            flip = torch.randint(2, (count,), generator=generator("flip", seed)).bool()
        if self.policy:
            policy = draw_policy(self.policy, count, size, seed)
        if self.cutout:
            stream = generator("cutout", seed)
            rows = torch.randint(height, (count,), generator=stream)
            cutout = torch.stack([rows, torch.randint(width, (count,), generator=stream)], dim=1)
        return Decisions(count, crop, flip, policy, cutout)

    def __call__(self, images: Tensor, decisions: Decisions, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        """Augment and normalize a batch.

        Crop and flip give what ``torchvision``'s ``RandomCrop(size, padding=PAD)`` and ``RandomHorizontalFlip``
        give for the same decisions. Cutout erases after normalization, to exactly 0: the mean pixel.

        Args:
            images: uint8 (B, C, H, W) on any device; fastest in ``channels_last``, as :func:`take` returns them.
            decisions: decisions for these B examples, on the same device.
            mean: mean of each channel, (C,), in units where white is 1.
            std: standard deviation of each channel, (C,), in the same units.

        Returns:
            float32 (B, C, H, W) in ``channels_last``.
        """
        if len(decisions) != len(images):
            raise ConfigError(f"{len(decisions)} decisions for {len(images)} images")
        pixels = images.permute(0, 2, 3, 1).contiguous()
        if decisions.crop is not None:
            pixels = _crop(pixels, decisions.crop, self.crop, self.reflect)
        if decisions.flip is not None:
            pixels = _flip(pixels, decisions.flip)
        if decisions.policy is not None:
            pixels = apply_policy(pixels, decisions.policy)
        batch = normalize(pixels.permute(0, 3, 1, 2), mean, std)
        return batch if decisions.cutout is None else _cutout(batch, decisions.cutout, self.cutout)

    def shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return channels, height and width that images of this shape have after :meth:`prepare`."""
        return (shape[0], self.resize, self.resize) if self.resize else shape

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the data set with all images, of training and test, brought to the size of ``resize``, once.

        A pixel is the mean of those it covers, rounded: sums of whole numbers, the same on every machine. Mean and
        deviation are those of the resized pixels; the fingerprint stays that of the data: the recipe is in the spec.
        """
        if self.resize == 0:
            return dataset
        train, test = (_resized(part, self.resize) for part in (dataset.train_images, dataset.test_images))
        mean, std = channel_statistics(train)
        return replace(dataset, train_images=train, test_images=test, mean=mean, std=std)


def take(images: Tensor, index: Tensor) -> Tensor:
    """Gather a batch: ``images[index]``, several times faster if the data set is in ``channels_last``.

    Args:
        images: (N, C, H, W), any dtype and layout.
        index: int64 (B,) positions in ``images``, on the same device.

    Returns:
        (B, C, H, W) in the layout of ``images``.
    """
    if images.is_contiguous(memory_format=torch.channels_last):
        return images.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)
    return images.index_select(0, index)


def normalize(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Convert pixels to network input: (x / 255 - mean) / std, computed as x * scale + shift.

    Args:
        images: uint8 (B, C, H, W).
        mean: mean of each channel, (C,), in units where white is 1.
        std: standard deviation of each channel, (C,), in the same units.

    Returns:
        float32 (B, C, H, W) in ``channels_last``.
    """
    batch, channels, height, width = images.shape
    scale, shift = _row_constants(mean, std, width, images.device)
    # A row of W * C numbers is one vector operation; the channels of one pixel (C = 3) would be far too few.
    rows = images.permute(0, 2, 3, 1).reshape(batch, height, width * channels).to(torch.float32, copy=True)
    # In place, because a second buffer of this size costs more in page faults than the arithmetic.
    torch.addcmul(shift, rows, scale, out=rows)
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)


@cache  # never freed: on a GPU other streams may be reading them
def _row_constants(
    mean: tuple[float, ...], std: tuple[float, ...], width: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return scale and shift for the interleaved channels of one image row, float32 (W * C,)."""
    deviation = torch.tensor(std, dtype=torch.float64)
    scale = 1 / (255 * deviation)
    shift = -torch.tensor(mean, dtype=torch.float64) / deviation
    return scale.repeat(width).float().to(device), shift.repeat(width).float().to(device)


def _crop(pixels: Tensor, corner: Tensor, pad: int, reflect: bool) -> Tensor:
    """Pad (B, H, W, C) and cut out windows of the original size at the given corners."""
    batch, height, width, channels = pixels.shape
    if reflect:
        padded = pixels
        for dim, size in ((1, height), (2, width)):
            source = torch.arange(-pad, size + pad, device=pixels.device).abs()
            padded = padded.index_select(dim, torch.where(source < size, source, 2 * (size - 1) - source))
    else:
        padded = torch.nn.functional.pad(pixels, (0, 0, pad, pad, pad, pad))
    # With overlapping strides, row s of `windows` is the W pixels that start at pixel s of the padded batch,
    # so a single index_select copies B * H whole rows: neither a loop nor an index per pixel.
    tall, wide = height + 2 * pad, width + 2 * pad
    windows = padded.as_strided((batch * tall * wide - width + 1, width * channels), (channels, 1))
    first = (torch.arange(batch, device=pixels.device) * tall + corner[:, 0]) * wide + corner[:, 1]
    starts = first[:, None] + torch.arange(height, device=pixels.device) * wide
    return windows.index_select(0, starts.flatten()).view(batch, height, width, channels)


def _flip(pixels: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen images of (B, H, W, C): select from the batch and its mirror image, without a branch."""
    batch = len(pixels)
    both = torch.cat([pixels, pixels.flip(2)])
    return both.index_select(0, torch.arange(batch, device=pixels.device) + batch * chosen)


def _cutout(images: Tensor, center: Tensor, side: int) -> Tensor:
    """Set to 0, in place, a square of (B, C, H, W) that reaches from center - side // 2 and ends at the border."""
    batch, channels, height, width = images.shape
    inside = []
    for axis, size in ((0, height), (1, width)):
        offset = torch.arange(size, device=images.device) - center[:, axis, None] + side // 2
        inside.append(((offset >= 0) & (offset < side)).float())
    rows, columns = inside
    square = rows[:, :, None] * columns.repeat_interleave(channels, 1)[:, None, :]
    # x - x * 1 is exactly 0 and x - x * 0 is x: a tenth of the time that masked_fill_ takes on a CPU.
    pixels = images.permute(0, 2, 3, 1).view(batch, height, width * channels)
    pixels.addcmul_(pixels, square, value=-1)
    return images


def _resized(images: Tensor, size: int) -> Tensor:
    parts = [torch.nn.functional.adaptive_avg_pool2d(part.float(), size) for part in images.split(1000)]
    return torch.cat([part.round().to(torch.uint8) for part in parts])


def _pixels(text: str, token: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_PIXELS:
        raise ConfigError(
            f"augmentation {token!r}: {text!r} is not a number of pixels of at least 1 and at most {MOST_PIXELS}"
        )
    return int(text)
