"""The training set of a run on its device, as augmented and normalized batches.

Order and augmentation come from streams that are seeded by what they are for: whatever is drawn here is a function of
the seed and the position in the run alone.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ...datasets import Augmentation, Dataset, Decisions, Parts, take
from ...datasets.dataset import send
from ...datasets.samplers import Draw
from ...seeding import derive_seed, generator
from ..spec import RunSpec
from .batch import Batch

MOST_AT_ONCE = 16
"""Batches that are made in one go: what augments an image is decided for each, so they are the same as one by one."""
PIXELS_OF_A_CACHE, MANY_PIXELS = 2**18, 2**23
"""What is made in one go has no more: on a CPU; where each launch, or each kind of change of a policy, has a price."""


class TrainLoader:
    """Batches of the training set.

    Args:
        spec: spec of the run: first batch size, augmentation, memory layout.
        dataset: whose mean and deviation normalize the images.
        parts: what the run trains on.
        device: where the batches are needed.
    """

    def __init__(self, spec: RunSpec, dataset: Dataset, parts: Parts, device: torch.device):
        self.spec, self.dataset, self.device = spec, dataset, device
        self.images = parts.train_images.to(device).contiguous(memory_format=torch.channels_last)
        self.labels, self.ids = parts.train_labels.to(device), parts.train_ids.to(device)
        self.augmentation = Augmentation.parse(spec.augment)
        self.layout = torch.channels_last if spec.channels_last else torch.contiguous_format
        room = MANY_PIXELS if device.type == "cuda" or self.augmentation.policy else PIXELS_OF_A_CACHE
        self.at_once = max(1, min(MOST_AT_ONCE, room // (self.images[0].numel() * spec.batch_size)))

    def begin_epoch(self, epoch: int, steps: int, size: int, order: Tensor | None = None) -> None:
        """Draw the augmentation of an epoch of so many batches of this size.

        Args:
            epoch: epochs completed.
            steps: batches of the epoch.
            size: samples of a batch.
            order: positions of the samples of all batches, where they are known, int64 (n,).
        """
        self.size = size
        self.decisions = self._decide("augmentation", (epoch,), steps * size)
        self.order, self._block = order, -1

    def batch(self, draw: Draw, step: int) -> Batch:
        """Return the batch of a step of the epoch, which may have been made together with its neighbours."""
        weights = None if draw.weights is None else draw.weights.to(self.device)
        if self.order is None or self.at_once == 1:
            at, first = draw.positions.to(self.device), step * self.size
            return Batch(*self._gathered(at, self.decisions[first : first + len(at)]), weights)
        block, place = divmod(step, self.at_once)
        if block != self._block:
            part = slice(block * self.at_once * self.size, (block + 1) * self.at_once * self.size)
            decisions = self.decisions[part]  # none for what a whole last batch would have left over
            positions = self.order[part][: len(decisions)]
            made = self._gathered(positions, decisions[: len(positions)])
            self._block, self._ready = block, list(zip(*(rows.split(self.size) for rows in made), strict=True))
        images, labels, ids = self._ready[place]
        return Batch(images, labels, ids, weights)

    def _gathered(self, at: Tensor, decisions: Decisions) -> tuple[Tensor, Tensor, Tensor]:
        """Return augmented images, labels and ids at some positions (B,)."""
        return self._images(at, decisions), self.labels[at], self.ids[at]

    def fresh(self, step: int, number: int) -> Batch:
        """Return a further batch of a step of the run, drawn uniformly: number 1, 2, ..."""
        at, decisions = self._uniform("fresh", (step, number), self.size)
        return Batch(self._images(at, decisions), self.labels[at], self.ids[at])

    def uniform(self, step: int) -> Iterator[Tensor]:
        """Yield the images of the whole training set in batches, in an order that belongs to this step of the run."""
        size, count = self.spec.batch_size, len(self.labels)
        order, decisions = self._uniform("statistics", (step,), count)
        for first in range(0, max(1, count - size + 1), size):
            yield self._images(order[first : first + size], decisions[first : first + size])

    def _uniform(self, purpose: str, index: tuple[int, ...], count: int) -> tuple[Tensor, Decisions]:
        """Draw that many samples without repetition, and their augmentation."""
        stream = generator(f"{purpose} order", self.spec.seed, *index)
        at = send(torch.randperm(len(self.labels), generator=stream)[:count], self.device)
        return at, self._decide(f"{purpose} augmentation", index, len(at))

    def _decide(self, purpose: str, index: tuple[int, ...], count: int) -> Decisions:
        seed = derive_seed(purpose, self.spec.seed, *index)
        return self.augmentation.draw(count, self.dataset.shape[1:], seed).to(self.device)

    def _images(self, at: Tensor, decisions: Decisions) -> Tensor:
        """Gather, augment and normalize the images at some positions (B,)."""
        images = self.augmentation(take(self.images, at), decisions, self.dataset.mean, self.dataset.std)
        return images.contiguous(memory_format=self.layout)
