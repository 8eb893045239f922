"""The largest eigenvalues of the Hessian, or of the Gauss-Newton matrix, of the training loss."""

from typing import Any

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.curvature import gaussian, top_eigenpairs
from ..measuring.objective import Objective, Product
from ..measuring.registry import Found, measure
from ..measuring.subject import LOGITS, SAMPLE, Subject

MATRIX = {"matrix": Hyper("hessian", "of the loss in the weights", choices=("hessian", "gauss_newton"))}


def product_of(objective: Objective, matrix: str) -> Product:
    """Return the products of a matrix that :data:`MATRIX` names."""
    return objective.hessian if matrix == "hessian" else objective.gauss_newton


@measure(
    "lambda_max",
    "largest eigenvalues of the Hessian",
    group="curvature",
    settings={
        **MATRIX,
        "top": Hyper(1, "number of eigenvalues", low=1),
        "tolerance": Hyper(1e-3, "relative, at which Lanczos stops; 0 for that of the machine", low=0),
        "iterations": Hyper(100, "restarts at most", low=1),
        "start_seed": Hyper(0, "of the first vector", low=0),
        **LOGITS,
        **SAMPLE,
    },
    values={
        "lambda_max": "largest eigenvalue",
        "eigenvalues": "the largest ones, in descending order",
        "products": "products with the matrix that they took",
    },
    paper="Keskar et al. 2016, arXiv 1609.04836; Foret et al. 2020, arXiv 2010.01412",
)
def lambda_max(
    subject: Subject, *, matrix: str, top: int, tolerance: float, iterations: int, start_seed: int, **sample: Any
) -> Found:
    """Measure the largest eigenvalues by ARPACK's Lanczos method."""
    objective = subject.objective(**sample)
    start = gaussian(objective.theta, generator("measure lanczos", start_seed))
    values, _, products = top_eigenpairs(
        product_of(objective, matrix), start, top, tolerance=tolerance, iterations=iterations
    )
    return {"lambda_max": values[0], "eigenvalues": values, "products": products}
