"""The Frobenius norm of the Hessian, or of the Gauss-Newton matrix, of the training loss."""

import math
from typing import Any

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.curvature import squared_norm
from ..measuring.registry import Found, measure
from ..measuring.subject import LOGITS, SAMPLE, Subject
from .lambda_max import MATRIX, product_of


@measure(
    "frobenius",
    "Frobenius norm of the Hessian, estimated",
    group="curvature",
    settings={
        **MATRIX,
        "draws": Hyper(60, "products with the matrix", low=2),
        "draw_seed": Hyper(0, "of the random vectors", low=0),
        **LOGITS,
        **SAMPLE,
    },
    values={
        "frobenius": "square root of the sum of the squared eigenvalues",
        "standard_error": "of the estimate, to first order",
    },
    paper="Tahmasebi et al. 2024, arXiv 2406.03682",
)
def frobenius(subject: Subject, *, matrix: str, draws: int, draw_seed: int, **sample: Any) -> Found:
    """Estimate the norm as the root of the mean of ||H v||^2 over random vectors v."""
    objective = subject.objective(**sample)
    random = generator("measure frobenius", draw_seed)
    found = squared_norm(product_of(objective, matrix), objective.theta, draws, random)
    norm = math.sqrt(found.value)
    return {"frobenius": norm, "standard_error": found.standard_error / (2 * norm) if norm else 0.0}
