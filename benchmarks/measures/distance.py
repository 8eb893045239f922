"""How far the weights are from where they started."""

import torch

from ..measuring.registry import Found, measure
from ..measuring.subject import Subject


@measure(
    "distance",
    "l2 distance of the weights to initialization",
    group="norms",
    settings={},
    values={
        "distance": "||w - w_0|| over all parameters",
        "norm": "||w||",
        "relative": "||w - w_0|| / ||w_0||",
    },
    paper="Nagarajan & Kolter 2019, arXiv 1901.01672; Jiang et al. 2019, arXiv 1912.02178",
)
def distance(subject: Subject) -> Found:
    """Measure ||w - w_0||; initial weights are a function of model and seed and are made again."""
    w, start = (
        torch.cat([p.detach().double().flatten() for p in network.parameters()])
        for network in (subject.network, subject.initial)
    )
    return {
        "distance": float((w - start).norm()),
        "norm": float(w.norm()),
        "relative": float((w - start).norm() / start.norm()),
    }
