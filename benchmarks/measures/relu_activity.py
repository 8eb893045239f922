"""How many units of a network are active, and for how many samples."""

import torch

from ...datasets import normalize
from ...hyper import Hyper
from ..measuring.activations import relu_outputs
from ..measuring.registry import Found, NotApplicable, measure
from ..measuring.subject import Subject

SHARES = (0.0, 0.01, 0.05, 0.1)


@measure(
    "relu_activity",
    "share of ReLU units that are active on more than some share of the samples",
    group="features",
    settings={
        "samples": Hyper(1024, "training samples, without augmentation; 0 for all", low=0),
        "sample_seed": Hyper(0, "which samples", low=0),
        "threshold": Hyper(0.05, "a unit is active above this share of its layer's largest output", low=0, high=1),
    },
    values={
        "active": "units that are active on any sample, mean over the layers",
        "active_1": "on more than 1 % of the samples",
        "active_5": "on more than 5 %",
        "active_10": "on more than 10 %",
        "by_layer": "units that are active on any sample, layer by layer",
    },
    paper="Andriushchenko et al. 2023, arXiv 2305.16292",
)
def relu_activity(subject: Subject, *, samples: int, sample_seed: int, threshold: float) -> Found:
    """Measure the share of units of every ReLU with outputs above ``threshold`` times the layer's largest one.

    A unit of a convolutional layer is a channel at a place.
    """
    images, _ = subject.sample("train", samples, sample_seed)
    given = normalize(images.to(subject.device), subject.dataset.mean, subject.dataset.std)
    with torch.no_grad():
        peaks: list[float] = []
        for part in given.split(256):
            with relu_outputs() as outputs:
                subject.network(part)
            largest = [float(output.max()) for output in outputs]
            peaks = [max(pair) for pair in zip(peaks or largest, largest, strict=True)]
        if not peaks:
            raise NotApplicable("the network calls no ReLU")
        counts: list[torch.Tensor] = []
        for part in given.split(256):
            with relu_outputs() as outputs:
                subject.network(part)
            found = [(o.flatten(1) > threshold * peak).sum(0) for o, peak in zip(outputs, peaks, strict=True)]
            counts = [a + b for a, b in zip(counts, found, strict=True)] if counts else found
    shares = [[float((count > share * len(given)).double().mean()) for count in counts] for share in SHARES]
    means = [sum(layer) / len(layer) for layer in shares]
    return {**dict(zip(("active", "active_1", "active_5", "active_10"), means, strict=True)), "by_layer": shares[0]}
