"""The SAM gap: what one step of SAM's ascent costs."""

from typing import Any

from ...hyper import Hyper
from ..measuring.ball import unit
from ..measuring.registry import Found, measure
from ..measuring.subject import LOGITS, SAMPLE, Subject


@measure(
    "sam_gap",
    "rise of the loss after SAM's one step of ascent",
    group="sharpness",
    settings={"rho": Hyper(0.05, "length of the step", low=0, above=True), **LOGITS, **SAMPLE},
    values={"gap": "L(w + rho g / ||g||) - L(w), nats", "loss": "L(w), nats", "gradient_norm": "||g||, g = grad L(w)"},
    paper="Foret et al. 2020, arXiv 2010.01412",
)
def sam_gap(subject: Subject, *, rho: float, **sample: Any) -> Found:
    """Measure L(w + rho g / ||g||) - L(w) for the gradient g of the training loss; 0 where g is 0.

    Where a network is certain of its samples (margins of more than 16), their derivatives are 0 by rounding in single
    precision, and the gap of a network that is certain of all is too small: precision="float64".
    """
    objective = subject.objective(**sample)
    loss, gradient = objective.gradient(objective.theta)
    return {
        "gap": float(objective.loss(objective.theta + rho * unit(gradient)) - loss),
        "loss": float(loss),
        "gradient_norm": float(gradient.double().norm()),
    }
