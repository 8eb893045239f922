"""The variance of the gradient of a batch, as a sampling policy draws it: what importance sampling is to lower."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...datasets.samplers import SAMPLERS
from ...hyper import Hyper, resolve
from ...seeding import derive_seed
from ..measuring.objective import LARGEST_CHUNK, Objective
from ..measuring.registry import Found, measure
from ..measuring.subject import SAMPLE, Subject
from ..training.batch import sample_scores


@measure(
    "gradient_variance",
    "variance of the gradient of a batch, as a sampling policy draws it",
    group="sampling",
    settings={
        "sampler": Hyper("uniform", "policy, with its defaults", choices=tuple(SAMPLERS.names())),
        "batch": Hyper(128, "samples of a batch", low=1),
        "epochs": Hyper(8, "of draws over the sample", low=1),
        "draw_seed": Hyper(0, "of the draws", low=0),
        **SAMPLE,
    },
    values={
        "variance": "mean of ||g_B - g||^2 over the batches B, g the gradient of the whole sample",
        "norm": "||g||",
        "bias": "||mean of g_B - g||, which goes to 0 as draws become more",
    },
    paper="Katharopoulos and Fleuret 2018, arXiv 1803.00942; Oikonomou and Loizou 2025",
)
def gradient_variance(
    subject: Subject, *, sampler: str, batch: int, epochs: int, draw_seed: int, **sample: Any
) -> Found:
    """Draw batches by the policy itself at the weights as they are, and compare their weighted gradients with that of
    the whole sample. Scores, where the policy asks for them, are those of the present weights."""
    objective = subject.objective(**sample)
    kind, count = SAMPLERS.get(sampler), len(objective.labels)
    settings = resolve(f"sampler {sampler!r}", kind.hyper, {})
    policy = kind(count, min(batch, count), derive_seed("measure gradient variance", draw_seed), True, settings)

    def score(positions: Tensor, of: str) -> Tensor:
        with torch.no_grad():
            images = objective.images[positions].split(LARGEST_CHUNK)
            logits = torch.cat([objective.logits(objective.theta, part) for part in images])
        return sample_scores(of, logits, objective.labels[positions]).cpu()

    _, whole = objective.gradient(objective.theta)
    mean, squares, batches = torch.zeros_like(whole), 0.0, 0
    for epoch in range(1, epochs + 1):  # the first one of a training is drawn without scores
        policy.begin_epoch(epoch, score)
        for step in range(policy.steps):
            draw = policy.draw(step, score)
            gradient = _weighted(objective, draw.positions, draw.weights)
            mean += gradient
            squares += float((gradient - whole).square().sum())
            batches += 1
    return {
        "variance": squares / batches,
        "norm": float(whole.norm()),
        "bias": float((mean / batches - whole).norm()),
    }


def _weighted(objective: Objective, positions: Tensor, weights: Tensor | None) -> Tensor:
    """Return the gradient of the mean of w_i f_i over a batch."""
    at = objective.theta.detach().requires_grad_(True)
    logits = objective.logits(at, objective.images[positions])
    losses = F.cross_entropy(logits, objective.labels[positions], reduction="none")
    mean = losses.mean() if weights is None else (weights.to(losses) * losses).mean()
    return torch.autograd.grad(mean, at)[0]
