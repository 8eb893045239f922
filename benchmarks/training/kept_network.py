"""``load_model``: the network of a finished run, ready to be used by anybody."""

from pathlib import Path

import torch
from torch import Tensor, nn

from ...results.records.models import FINAL, find_run
from ...results.records.store import Store
from ..spec import RunSpec
from .keeping import read_model


class NormalizedNetwork(nn.Module):
    """A network with the normalization of its data set before it.

    Args:
        network: takes normalized images.
        mean: of each channel, (C,), in units where white is 1.
        std: standard deviation of each channel, (C,), in the same units.
        classes: names of the classes, in the order of the logits.

    Shapes:
        images in [0, 1], (n, C, h, w) -> logits (n, classes).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], classes: tuple[str, ...]):
        super().__init__()
        self.network, self.classes = network, classes
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.network((images - self.mean) / self.std)


def load_model(run_id: str, *, results: str | Path = "sambench-results", epoch: int | None = None) -> NormalizedNetwork:
    """Return the network of a run with the weights that were kept of it, in evaluation mode, on the CPU.

    It takes images with values in [0, 1] and normalizes them as the run did. It computes in float32, also where the run
    was evaluated under autocast. The data set is not needed.

    Args:
        run_id: id of the run, or its first six digits or more.
        results: results folder.
        epoch: number of epochs after which the weights were kept (``--keep weights@10``); None for those that the run
            was evaluated with.

    Raises:
        StateError: the model is not kept, or its file is damaged or does not match the record.
    """
    store = Store(results)
    run_id = find_run(store, run_id)
    kept = read_model(store, run_id, FINAL if epoch is None else epoch)
    network = kept.network(RunSpec.model_validate(store.read(run_id).spec))
    return NormalizedNetwork(network, kept.mean, kept.std, kept.classes).eval()
