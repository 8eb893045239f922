"""Measuring a model: accuracy, likelihood, calibration, and which examples it gets right."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...datasets import normalize
from ..precision import Diverged, autocast
from .batch import wide

BATCH = 500
BINS = 15


@dataclass(frozen=True)
class Measured:
    """Accuracy (share), mean negative log-likelihood (nats), calibration error, and the examples that are right."""

    accuracy: float
    loss: float
    ece: float
    correct: np.ndarray


def calibration_error(confidence: Tensor, correct: Tensor, bins: int = BINS) -> float:
    """Return the expected calibration error: sum over equal-width bins of their share times |accuracy - confidence|.

    Args:
        confidence: probability of the predicted class, (n,).
        correct: which predictions are right, bool (n,).
        bins: number of bins on (0, 1].

    References:
        Guo et al. 2017, arXiv 1706.04599.

    Example:
        >>> round(calibration_error(torch.tensor([0.9, 0.9]), torch.tensor([True, False])), 3)
        0.4
    """
    at = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, at, correct.double() - confidence.double())
    return float(gaps.abs().sum() / len(confidence))


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, mean: tuple, std: tuple, *, precision: str) -> Tensor:
    """Return the logits (n, classes) of uint8 images (n, C, H, W) in evaluation mode, in at least float32."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        outputs = []
        for part in images.split(BATCH):
            with autocast(precision, device):
                outputs.append(wide(model(normalize(part.to(device), mean, std))))
        return torch.cat(outputs)
    finally:
        model.train(was_training)


def measure(logits: Tensor, labels: Tensor) -> Measured:
    """Compare logits (n, classes) with labels (n,).

    Raises:
        Diverged: their loss is not finite.
    """
    logits, labels = logits.cpu(), labels.cpu()
    if not math.isfinite(loss := float(F.cross_entropy(logits.double(), labels))):
        raise Diverged(f"the loss on {len(labels)} images that were measured is not finite")
    confidence, predicted = logits.softmax(1).max(1)
    correct = predicted == labels
    return Measured(
        accuracy=int(correct.sum()) / len(labels),
        loss=loss,
        ece=calibration_error(confidence, correct),
        correct=correct.numpy(),
    )
