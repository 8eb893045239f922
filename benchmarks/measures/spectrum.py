"""The spectral density of the Hessian, or of the Gauss-Newton matrix, of the training loss."""

from typing import Any

import numpy as np

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.curvature import density, gaussian, lanczos
from ..measuring.registry import Found, measure
from ..measuring.subject import LOGITS, SAMPLE, Subject
from .lambda_max import MATRIX, product_of

ZERO = 1e-3
"""Share of the largest node within which a node may stand for eigenvalues that are 0."""
POINTS = 400
"""Points of the grid that the density is given on."""


@measure(
    "spectrum",
    "spectral density of the Hessian, by stochastic Lanczos quadrature",
    group="curvature",
    settings={
        **MATRIX,
        "steps": Hyper(30, "Lanczos steps of a draw", low=2),
        "draws": Hyper(3, "random first vectors", low=1),
        "draw_seed": Hyper(0, "of the first vectors", low=0),
        "width": Hyper(0.01, "of the Gaussian kernel, as a share of the range of the nodes", low=0.003),
        **LOGITS,
        **SAMPLE,
    },
    values={
        "mean": "sum of weight times node: trace / P, estimated",
        "smallest": "smallest node",
        "largest": "largest node",
        "negative": "share of the density below -.001 of the largest |node|",
        "nodes": "eigenvalues that stand for the spectrum",
        "weights": "of the nodes; they sum to 1",
        "grid": "points at which the density is given",
        "density": "smoothed by the kernel; it integrates to 1",
    },
    version=2,
    paper="Ghorbani et al. 2019, arXiv 1901.10159",
)
def spectrum(
    subject: Subject, *, matrix: str, steps: int, draws: int, draw_seed: int, width: float, **sample: Any
) -> Found:
    """Estimate the spectral density by the Gauss quadratures of a few random first vectors.

    The eigenvalues that are 0, most of them as a rule, are nodes near 0 on either side, by rounding: none counts as
    negative. In version 1 those below 0 did.
    """
    objective = subject.objective(**sample)
    product, random = product_of(objective, matrix), generator("measure spectrum", draw_seed)
    found = [lanczos(product, gaussian(objective.theta, random), steps) for _ in range(draws)]
    nodes, weights = np.concatenate([n for n, _ in found]), np.concatenate([w for _, w in found]) / draws
    kernel = width * max(float(nodes.max() - nodes.min()), 1e-12)
    grid, smooth = density(nodes, weights, kernel, POINTS)
    return {
        "mean": float(nodes @ weights),
        "smallest": float(nodes.min()),
        "largest": float(nodes.max()),
        "negative": float(weights[nodes < -ZERO * np.abs(nodes).max()].sum()),
        "nodes": nodes.tolist(),
        "weights": weights.tolist(),
        "grid": grid.tolist(),
        "density": smooth.tolist(),
    }
