"""The trace of the Hessian, or of the Gauss-Newton matrix, of the training loss."""

from typing import Any

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.curvature import hutch_plus_plus, hutchinson
from ..measuring.registry import Found, measure
from ..measuring.subject import LOGITS, SAMPLE, Subject
from .lambda_max import MATRIX, product_of


@measure(
    "trace",
    "trace of the Hessian, estimated",
    group="curvature",
    settings={
        **MATRIX,
        "method": Hyper("hutch++", "of estimation", choices=("hutch++", "hutchinson")),
        "draws": Hyper(60, "products with the matrix", low=6),
        "draw_seed": Hyper(0, "of the random vectors", low=0),
        **LOGITS,
        **SAMPLE,
    },
    values={"trace": "sum of the eigenvalues", "standard_error": "of the estimate"},
    paper="Hutchinson 1990; Meyer et al. 2021, arXiv 2010.09649",
)
def trace(subject: Subject, *, matrix: str, method: str, draws: int, draw_seed: int, **sample: Any) -> Found:
    """Estimate the trace by random vectors."""
    objective = subject.objective(**sample)
    estimate = hutch_plus_plus if method == "hutch++" else hutchinson
    found = estimate(product_of(objective, matrix), objective.theta, draws, generator("measure trace", draw_seed))
    return {"trace": found.value, "standard_error": found.standard_error}
