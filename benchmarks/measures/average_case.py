"""Average-case sharpness: the rise of the loss under random perturbations of the weights."""

from typing import Any

import torch

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.curvature import gaussian, mean_of
from ..measuring.registry import Found, measure
from ..measuring.subject import LOGITS, SAMPLE, Subject
from .worst_case import BALL


@measure(
    "average_case",
    "mean rise of the loss under random perturbations of the weights",
    group="sharpness",
    settings={
        **BALL,
        "rho": Hyper(0.1, "l2: standard deviation of d / c; linf: largest |d / c|", low=0, above=True),
        "draws": Hyper(100, "perturbations", low=2),
        "noise_seed": Hyper(0, "of the perturbations", low=0),
        **LOGITS,
        **SAMPLE,
    },
    values={
        "sharpness": "mean of L(w + d) - L(w), nats; d / c is normal (l2) or uniform in the box (linf)",
        "standard_error": "of that mean over the draws",
    },
    paper="Andriushchenko et al. 2023, arXiv 2302.07011",
)
def average_case(
    subject: Subject, *, norm: str, scale: str, rho: float, draws: int, noise_seed: int, **sample: Any
) -> Found:
    """Measure E L(w + d) - L(w) for d / c ~ N(0, rho^2 I), or d / c uniform in [-rho, rho]^P."""
    objective = subject.objective(**sample)
    theta, random = objective.theta, generator("measure noise", noise_seed)
    c = theta.abs() if scale == "adaptive" else torch.ones_like(theta)

    def draw() -> torch.Tensor:
        if norm == "l2":
            return gaussian(theta, random)
        return (torch.rand(theta.shape, generator=random, dtype=torch.float64) * 2 - 1).to(theta)

    before = objective.loss(theta)
    mean = mean_of([float(objective.loss(theta + rho * c * draw()) - before) for _ in range(draws)])
    return {"sharpness": mean.value, "standard_error": mean.standard_error}
