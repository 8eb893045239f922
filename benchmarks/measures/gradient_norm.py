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
        "loss": "L_S(w) of the samples in whole parts, nats",
    },
    paper="Foret et al. 2020, arXiv 2010.01412; Zhao et al. 2022, arXiv 2202.03599",
)
def gradient_norm(subject: Subject, *, m: int, **sample: Any) -> Found:
    """Measure ||grad L_S|| and the mean of ||grad L_B|| over disjoint parts B of m samples."""
    objective = subject.objective(**sample)
    whole, norms, losses = torch.zeros_like(objective.theta), [], []
    for part in objective.parts(min(m, len(objective.labels))):
        loss, gradient = part.gradient(part.theta)
        whole += gradient
        norms.append(float(gradient.norm()))
        losses.append(float(loss))
    return {
        "norm": float(whole.norm()) / len(norms),
        "m_norm": sum(norms) / len(norms),
        "loss": sum(losses) / len(losses),
    }
