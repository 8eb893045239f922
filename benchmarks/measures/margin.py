"""Margins of the training samples."""

import torch

from ...hyper import Hyper
from ..measuring.registry import Found, measure
from ..measuring.subject import Subject


@measure(
    "margin",
    "quantiles of the output margins of the training samples",
    group="norms",
    settings={"quantile": Hyper(0.1, "share of samples below the margin", low=0, high=1)},
    values={
        "margin": "the quantile of z_y - max of the other z, in units of the logits",
        "normalized": "the same of logits that are centered and divided by their l2 norm",
        "mean": "mean margin",
    },
    paper="Bartlett et al. 2017, arXiv 1706.08498; Jiang et al. 2019, arXiv 1912.02178",
)
def margin(subject: Subject, *, quantile: float) -> Found:
    """Measure z_y - max over the other classes, for the given labels of all training samples without augmentation."""
    logits, labels = subject.predict(subject.parts.train_images).cpu().double(), subject.parts.train_labels
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).max(1).values
    margins = own - others
    sizes = (logits - logits.mean(1, keepdim=True)).norm(dim=1).clamp_min(1e-300)
    return {
        "margin": float(torch.quantile(margins, quantile)),
        "normalized": float(torch.quantile(margins / sizes, quantile)),
        "mean": float(margins.mean()),
    }
