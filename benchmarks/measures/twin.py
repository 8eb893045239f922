"""How far two runs are from each other whose training sets differ in one example."""

import torch

from ..measuring.registry import Found, NotApplicable, measure
from ..measuring.subject import Subject


@measure(
    "twin",
    "l2 distance of the weights to those of the run whose training set differs in one example",
    group="stability",
    settings={},
    values={
        "normalized": "||w - v|| / sqrt(||w||^2 + ||v||^2)",
        "distance": "||w - v|| over all parameters, v those of the run without replace_example",
    },
    paper="Hardt, Recht & Singer 2015, arXiv 1509.01240",
)
def twin(subject: Subject) -> Found:
    """Measure ||w - v|| between a run with ``replace_example`` and its twin, the same run without, after equal epochs.

    Both models must be kept. Initial weights, augmentation and, drawn uniformly, the order are the same to the bit.
    """
    if subject.spec.replace_example is None:
        raise NotApplicable("no example was replaced; it is measured of the run with replace_example")
    other = subject.another(subject.spec.model_copy(update={"replace_example": None}).run_id)
    w, v = (
        torch.cat([p.detach().double().flatten() for p in network.parameters()])
        for network in (subject.network, other.network)
    )
    distance = (w - v).norm()
    return {"normalized": float(distance / torch.hypot(w.norm(), v.norm())), "distance": float(distance)}
