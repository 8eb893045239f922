"""What a measure looks at: the kept network of a run, its data, and samples of them that depend on their seed alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from ...datasets import Augmentation, Dataset, Parts, normalize, take
from ...errors import StateError
from ...hyper import Hyper
from ...results.records.record import RunRecord
from ...seeding import generator
from .. import models
from ..precision import arithmetic
from ..spec import RunSpec
from ..training.evaluation import predict
from ..training.keeping import KeptModel
from ..training.kept_network import NormalizedNetwork
from ..training.parts import parts_of
from ..training.state import state_digest
from .objective import Objective
from .registry import NotApplicable

DTYPES = {"float32": torch.float32, "float64": torch.float64}

SAMPLE = {
    "samples": Hyper(1024, "training samples, without augmentation; 0 for all", low=0),
    "sample_seed": Hyper(0, "which samples", low=0),
    "precision": Hyper("float32", "of the computation", choices=tuple(DTYPES)),
}
"""Settings of every measure of the training loss, in evaluation mode with the running BatchNorm statistics."""

LOGITS = {
    "logits": Hyper(
        "plain", "normalized: centered and divided by their l2 norm, sample by sample", choices=("plain", "normalized")
    )
}

Part = Literal["train", "held-out", "reported"]


class Subject:
    """A finished run as a measure sees it.

    Args:
        record: of the run.
        kept: its weights.
        dataset: the whole data set of the run.
        device: where to compute.
        another: opens another run, by its id, in the same way.

    Raises:
        StateError: the data set is not the one that the run was made on.
    """

    def __init__(
        self,
        record: RunRecord,
        kept: KeptModel,
        dataset: Dataset,
        device: torch.device,
        another: "Callable[[str], Subject]",
    ):
        if dataset.fingerprint != record.dataset_fingerprint:
            raise StateError(
                f"run {record.run_id[:12]} was made on other data (fingerprint {record.dataset_fingerprint[:12]}, "
                f"{dataset.name!r} now has {dataset.fingerprint[:12]}): give the data set that it was made on"
            )
        self.record, self.kept, self.device, self.another = record, kept, device, another
        self.spec = RunSpec.model_validate(record.spec)
        self.dataset = Augmentation.parse(self.spec.augment).prepare(dataset)
        self.network: nn.Module = kept.network(self.spec).to(device)

    @cached_property
    def parts(self) -> Parts:
        """What the run was trained, selected and measured on."""
        return parts_of(self.spec, self.dataset)

    @property
    def initial(self) -> nn.Module:
        """The network before training, on the device: initial weights are a function of the seed.

        Raises:
            NotApplicable: they are not, as they were trained first.
        """
        if self.spec.init != "drawn":
            raise NotApplicable(f"the run began with weights that were trained first (init={self.spec.init!r})")
        channels, size, _ = self.dataset.shape
        built = models.build(
            self.spec.model,
            classes=len(self.dataset.classes),
            channels=channels,
            image_size=size,
            norm=self.spec.norm,
            seed=self.spec.seed,
        )
        return built.to(self.device).eval()

    @property
    def classifier(self) -> nn.Module:
        """The network for images in [0, 1], with the normalization before it."""
        dataset = self.dataset
        whole = NormalizedNetwork(self.network, dataset.mean, dataset.std, dataset.classes)
        return whole.to(self.device).eval()

    def part(self, part: Part) -> tuple[Tensor, Tensor] | None:
        """Return uint8 images (n, C, H, W) and labels (n,), int64: what the run was trained on, with its label noise;
        what it held out, or None; what its record reports."""
        parts = self.parts
        if part == "train":
            return parts.train_images, parts.train_labels
        if part == "held-out":
            return None if self.spec.split == "search" else parts.validation
        return parts.validation if parts.test is None else parts.test

    def sample(self, part: Part, samples: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return so many images and labels of a part, drawn without repetition; all of them for 0, or if it has fewer.

        The draw depends on the part, its size and the seed alone: runs on the same data are measured on the same
        samples.
        """
        found = self.part(part)
        assert found is not None
        images, labels = found
        if samples == 0 or samples >= len(labels):
            return images, labels
        order = torch.randperm(len(labels), generator=generator(f"measure {part}", seed))[:samples]
        return take(images, order), labels[order]

    def objective(
        self, samples: int, sample_seed: int, precision: str, logits: str = "plain", part: Part = "train"
    ) -> Objective:
        """Return the loss on a sample of a part; other arguments as :data:`SAMPLE` and :data:`LOGITS` say."""
        images, labels = self.sample(part, samples, sample_seed)
        return Objective(
            self.network,
            normalize(images.to(self.device), self.dataset.mean, self.dataset.std),
            labels.to(self.device),
            dtype=DTYPES[precision],
            normalized=logits == "normalized",
        )

    def predict(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes) of uint8 images, in the precision that the run was evaluated in."""
        precision = "fp32" if self.spec.precision == "tf32" and self.device.type != "cuda" else self.spec.precision
        with arithmetic(precision, self.device):
            return predict(self.network, images, self.dataset.mean, self.dataset.std, precision=precision)

    @contextmanager
    def unchanged(self, what: str) -> Iterator[None]:
        """Hold what is done inside the block to leaving the network as it was, to the bit; put it back if it did not.

        Raises:
            StateError: it did not, and the block ended without an error of its own.
        """
        try:
            yield
        finally:
            harmed = state_digest(self.network.state_dict()) != self.kept.weights
            if harmed or any(module.training for module in self.network.modules()):
                self.network.load_state_dict(self.kept.state)
                self.network.eval()
        if harmed:
            raise StateError(f"{what} changed the network that it measured; a measure has to leave it as it is")
