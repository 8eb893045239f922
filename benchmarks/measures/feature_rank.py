"""The rank of the features after every residual block, and of those that the classifier sees."""

from typing import Any

import torch
from torch import Tensor

from ...datasets import normalize
from ...hyper import Hyper
from ..measuring.activations import blocks_of, last_linear
from ..measuring.registry import Found, NotApplicable, measure
from ..measuring.subject import Subject

ROUNDING = 1e-24
"""Share of the sum of squares below which features are constant, in float64."""


def rank_of(features: Tensor, variance: float) -> int:
    """Return the least number of principal components that hold a share of the variance of features (n, d).

    It is 0 where no feature varies, by more than the rounding of its mean.

    Example:
        >>> rank_of(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.05], [0.0, -0.05]]), 0.99)
        1
    """
    centered = features.double() - features.double().mean(0)
    gram = centered.T @ centered if centered.shape[1] <= centered.shape[0] else centered @ centered.T
    values = torch.linalg.eigvalsh(gram).flip(0).clamp_min(0)
    if values.sum() <= ROUNDING * features.double().square().sum():
        return 0
    return min(int((values.cumsum(0) / values.sum() < variance).sum()) + 1, len(values))


@measure(
    "feature_rank",
    "principal components that hold 99 % of the variance of the features",
    group="features",
    settings={
        "variance": Hyper(0.99, "share of the variance", low=0, high=1),
        "samples": Hyper(2048, "training samples, without augmentation; 0 for all", low=0),
        "sample_seed": Hyper(0, "which samples", low=0),
    },
    values={
        "features": "rank of what the last linear layer is given",
        "dimension": "number of these features",
        "blocks": "rank of what every residual block returns, in the order of the network",
    },
    paper="Andriushchenko et al. 2023, arXiv 2305.16292",
)
def feature_rank(subject: Subject, *, variance: float, samples: int, sample_seed: int) -> Found:
    """Count principal components; features of blocks are flattened, channels and places alike."""
    images, _ = subject.sample("train", samples, sample_seed)
    network, head = subject.network, last_linear(subject.network)
    if head is None:
        raise NotApplicable("the network has no linear layer")
    blocks = list(blocks_of(network).values())
    kept: dict[Any, list[Tensor]] = {module: [] for module in (*blocks, head)}
    hooks = [
        block.register_forward_hook(lambda module, given, output: kept[module].append(output.flatten(1).cpu()))
        for block in blocks
    ]
    hooks.append(head.register_forward_pre_hook(lambda module, given: kept[module].append(given[0].flatten(1).cpu())))
    try:
        with torch.no_grad():
            for part in images.split(256):
                network(normalize(part.to(subject.device), subject.dataset.mean, subject.dataset.std))
    finally:
        for hook in hooks:
            hook.remove()
    features = torch.cat(kept[head])
    return {
        "features": rank_of(features, variance),
        "dimension": features.shape[1],
        "blocks": [rank_of(torch.cat(kept[block]), variance) for block in blocks],
    }
