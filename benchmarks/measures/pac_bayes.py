"""PAC-Bayes flatness: how much noise on the weights costs a given accuracy."""

from typing import Any

import torch

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.curvature import gaussian
from ..measuring.registry import Found, measure
from ..measuring.subject import SAMPLE, Subject
from .worst_case import BALL

DOUBLINGS = 20
"""Powers of 2 that the search looks at above its first guess; it goes down by twice as many."""


@measure(
    "pac_bayes",
    "largest noise on the weights that costs a given accuracy",
    group="sharpness",
    settings={
        "scale": BALL["scale"],
        "cost": Hyper(0.1, "training accuracy that the noise costs on average", low=0, high=1, above=True),
        "draws": Hyper(20, "perturbations, the same for every sigma", low=1),
        "noise_seed": Hyper(0, "of the perturbations", low=0),
        "tolerance": Hyper(0.01, "relative, of sigma", low=1e-6),
        **SAMPLE,
    },
    values={"sigma": "standard deviation of the noise over c", "flatness": "1 / sigma^2"},
    paper="Neyshabur et al. 2017, arXiv 1706.08947; Jiang et al. 2019, arXiv 1912.02178",
)
def pac_bayes(
    subject: Subject, *, scale: str, cost: float, draws: int, noise_seed: int, tolerance: float, **sample: Any
) -> Found:
    """Find sigma at which w + sigma c e, e ~ N(0, I), loses so much accuracy on average, by bisection of log sigma.

    ``cost`` is the loss of accuracy, not a standard deviation squared as in some public code.
    """
    objective = subject.objective(**sample)
    theta = objective.theta
    c = theta.abs() if scale == "adaptive" else torch.ones_like(theta)
    clean = float(objective.correct(theta).double().mean())

    def lost(sigma: float) -> float:
        random = generator("measure noise", noise_seed)
        found = [
            float(objective.correct(theta + sigma * c * gaussian(theta, random)).double().mean()) for _ in range(draws)
        ]
        return clean - sum(found) / draws

    guesses = (0.1 * 2.0**power for power in range(DOUBLINGS))
    high = next((sigma for sigma in guesses if lost(sigma) >= cost), None)
    if high is None:
        return {"sigma": float("inf"), "flatness": 0.0}  # no noise costs that much
    guesses = (high / 2.0**power for power in range(1, 2 * DOUBLINGS))
    low = next(sigma for sigma in guesses if lost(sigma) < cost)
    high = 2 * low
    while high / low > 1 + tolerance:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if lost(middle) >= cost else (middle, high)
    return {"sigma": (low * high) ** 0.5, "flatness": 1 / (low * high)}
