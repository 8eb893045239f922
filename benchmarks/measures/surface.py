"""The losses on a slice through the weights, along random directions or eigenvectors of the Hessian."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.curvature import gaussian, top_eigenpairs
from ..measuring.objective import Objective
from ..measuring.registry import Found, measure
from ..measuring.subject import SAMPLE, Subject

TOLERANCE, RESTARTS = 1e-3, 100
"""Of the eigenvectors: relative, at which Lanczos stops; and how often it starts anew at most."""

POINTS = Hyper(21, "in each dimension; an odd number has the weights themselves among them", low=2)
LOSSES = {
    "x": "coordinate along the first direction, of each point",
    "train": "training loss at each point, nats",
    "test": "loss at each point on a sample of what the record reports, nats",
}


def filter_normalized(objective: Objective, random: torch.Generator) -> Tensor:
    """Draw a direction (P,) in which every filter, or row of a matrix, has the norm of that of the weights.

    Vectors (biases, factors of normalization) do not move. What a network with normalization computes does not change
    with the scale of its filters, and neither does the slice.

    References:
        Li et al. 2018, arXiv 1712.09913.
    """
    drawn, weights = objective.named(gaussian(objective.theta, random)), objective.named(objective.theta)
    return torch.cat([_with_norms_of(weight, drawn[name]).flatten() for name, weight in weights.items()])


def _with_norms_of(weight: Tensor, drawn: Tensor) -> Tensor:
    if weight.ndim < 2:
        return torch.zeros_like(weight)
    rows = drawn.flatten(1)
    return rows * weight.flatten(1).norm(dim=1, keepdim=True) / rows.norm(dim=1, keepdim=True)


@measure(
    "surface",
    "training and test loss on a slice through the weights",
    group="landscape",
    settings={
        "directions": Hyper(
            "random",
            "random: filter-normalized; eigenvectors: of the largest eigenvalues of the Hessian",
            choices=("random", "eigenvectors"),
        ),
        "dimensions": Hyper(1, "of the slice, 1 or 2", low=1, high=2),
        "points": POINTS,
        "radius": Hyper(1.0, "coordinates go from -radius to radius", low=0, above=True),
        "direction_seed": Hyper(0, "of random directions, and of the first vector of Lanczos", low=0),
        **SAMPLE,
    },
    values={"highest": "training loss on the slice, nats", **LOSSES, "y": "coordinate along the second, 0 without it"},
    paper="Li et al. 2018, arXiv 1712.09913",
)
def surface(
    subject: Subject,
    *,
    directions: str,
    dimensions: int,
    points: int,
    radius: float,
    direction_seed: int,
    **sample: Any,
) -> Found:
    """Measure the losses at w + x d + y e on a grid, in evaluation mode.

    A coordinate of 1 along a random direction moves every filter by its own norm; eigenvectors have norm 1.
    """
    train, test = (subject.objective(**sample, part=part) for part in ("train", "reported"))
    random = generator("measure directions", direction_seed)
    if directions == "random":
        axes = [filter_normalized(train, random) for _ in range(dimensions)]
    else:
        start = gaussian(train.theta, random)
        _, axes, _ = top_eigenpairs(train.hessian, start, dimensions, tolerance=TOLERANCE, iterations=RESTARTS)
    coordinates = torch.linspace(-radius, radius, points, dtype=torch.float64).tolist()
    grid = [(x, y) for y in (coordinates if dimensions == 2 else [0.0]) for x in coordinates]
    found = {"x": [x for x, _ in grid], "y": [y for _, y in grid], "train": list[float](), "test": list[float]()}
    for x, y in grid:
        theta = train.theta + x * axes[0] + (y * axes[1] if dimensions == 2 else 0)
        found["train"].append(float(train.loss(theta)))
        found["test"].append(float(test.loss(theta)))
    return {"highest": float(np.max(found["train"])), **found}
