"""The damped determinant of the Gauss-Newton matrix of the training loss."""

from typing import Any

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.curvature import log_determinant_of
from ..measuring.registry import Found, measure
from ..measuring.subject import LOGITS, SAMPLE, Subject


@measure(
    "log_determinant",
    "logarithm of the damped determinant of the Gauss-Newton matrix",
    group="curvature",
    settings={
        "damping": Hyper(0.1, "d, in the unit of eigenvalues: those far below it count for nothing", low=0, above=True),
        "steps": Hyper(20, "Lanczos steps of a draw", low=2),
        "draws": Hyper(10, "random first vectors", low=2),
        "draw_seed": Hyper(0, "of the first vectors", low=0),
        **LOGITS,
        **SAMPLE,
    },
    values={"log_determinant": "log det(I + G / d), nats", "standard_error": "of the estimate"},
    paper="Tahmasebi et al. 2024, arXiv 2406.03682; Ubaru et al. 2017 (stochastic Lanczos quadrature)",
)
def log_determinant(
    subject: Subject, *, damping: float, steps: int, draws: int, draw_seed: int, **sample: Any
) -> Found:
    """Estimate log det(I + G / d) by stochastic Lanczos quadrature.

    The determinant of the Hessian itself is zero wherever there are more weights than the data decide on, and has no
    logarithm where it is negative; G is never negative, and d takes the place of the eigenvalues that are zero.
    The standard error is that of the draws. Quadrature of few steps errs upwards besides, by percents where the largest
    eigenvalue is some thousand times d: ``steps`` has to grow with it.
    """
    objective = subject.objective(**sample)
    random = generator("measure log determinant", draw_seed)
    found = log_determinant_of(objective.gauss_newton, objective.theta, damping, steps, draws, random)
    return {"log_determinant": found.value, "standard_error": found.standard_error}
