"""Norms of the gradient: what SAM's first-order theory says that it regularizes."""

from typing import Any

import torch

from ...hyper import Hyper
from ..measuring.registry import Found, measure
from ..measuring.subject import LOGITS, SAMPLE, Subject


@measure(
    "gradient_norm",
    "l2 norm of the gradient, of the whole sample and of parts of m samples",
    group="sharpness",
    settings={"m": Hyper(128, "samples of a part; 0 for all", low=0), **LOGITS, **SAMPLE},
    values={
        "norm": "||grad L_S(w)||",
        "m_norm": "mean of ||grad L_B(w)|| over disjoint parts B of m samples",
        "loss": "L_S(w), nats",
    },
    paper="Foret et al. 2020, arXiv 2010.01412; Zhao et al. 2022, arXiv 2202.03599",
)
def gradient_norm(subject: Subject, *, m: int, **sample: Any) -> Found:
    """Measure ||grad L_S|| and the mean of ||grad L_B|| over disjoint parts B of m samples.

    Samples that fill no part are in S and in no B.
    """
    objective = subject.objective(**sample)
    size = min(m, len(objective.labels)) or len(objective.labels)
    whole, norms, losses, parts = torch.zeros_like(objective.theta), [], [], len(objective.labels) / size
    for part in objective.parts(size, rest=True):
        share = len(part.labels) / size
        loss, gradient = part.gradient(part.theta)
        whole += gradient * share
        losses.append(float(loss) * share)
        if share == 1:
            norms.append(float(gradient.norm()))
    return {"norm": float(whole.norm()) / parts, "m_norm": sum(norms) / len(norms), "loss": sum(losses) / parts}
