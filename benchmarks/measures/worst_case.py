"""Worst-case sharpness in a ball of weights: l2 or linf, plain or adaptive, of the sample or of parts of m."""

from typing import Any

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.ball import rise_in_ball
from ..measuring.curvature import mean_of
from ..measuring.registry import Found, measure
from ..measuring.subject import LOGITS, SAMPLE, Subject

BALL = {
    "norm": Hyper("l2", "of the ball", choices=("l2", "linf")),
    "scale": Hyper("adaptive", "c: 1 (plain), or |w| element by element (adaptive)", choices=("plain", "adaptive")),
}


@measure(
    "worst_case",
    "largest rise of the loss in a ball of weights, by Auto-PGD",
    group="sharpness",
    settings={
        **BALL,
        "rho": Hyper(0.25, "radius of the ball", low=0, above=True),
        "m": Hyper(0, "samples of a part that has a perturbation of its own; 0 for all", low=0),
        "iterations": Hyper(20, "steps of ascent", low=1),
        "start_seed": Hyper(0, "of the first direction where the gradient is zero", low=0),
        **LOGITS,
        **SAMPLE,
    },
    values={
        "sharpness": "max of L(w + d) - L(w) over ||d / c||_p <= rho, nats; mean over the parts",
        "standard_error": "of that mean over the parts; missing for one part",
    },
    paper="Foret et al. 2020, arXiv 2010.01412; Kwon et al. 2021, arXiv 2102.11600; Andriushchenko et al. 2023, "
    "arXiv 2302.07011",
)
def worst_case(
    subject: Subject, *, norm: str, scale: str, rho: float, m: int, iterations: int, start_seed: int, **sample: Any
) -> Found:
    """Measure max L_B(w + d) - L_B(w) over the ball, for every part B of m samples, by an ascent from w.

    It is a lower bound of the maximum, and never negative.
    """
    objective = subject.objective(**sample)
    c = objective.theta.abs() if scale == "adaptive" else None
    rises = [
        rise_in_ball(part, c, norm, rho, iterations, generator("measure ascent", start_seed, number))
        for number, part in enumerate(objective.parts(min(m, len(objective.labels))))
    ]
    mean = mean_of(rises)
    return {"sharpness": mean.value, "standard_error": mean.standard_error}
