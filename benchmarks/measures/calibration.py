"""Calibration, as the network is and after its temperature was set on data that it was not measured on."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...hyper import Hyper
from ...seeding import generator
from ..measuring.registry import Found, measure
from ..measuring.subject import Subject
from ..training.evaluation import calibration_error


def adaptive_error(confidence: Tensor, correct: Tensor, bins: int) -> float:
    """Return the calibration error over bins of equal numbers of samples: mean |accuracy - confidence|, by share.

    Args:
        confidence: probability of the predicted class, (n,).
        correct: which predictions are right, bool (n,).
        bins: number of bins, of n / bins samples each, up to one.

    References:
        Nguyen & O'Connor 2015, arXiv 1508.05154; Nixon et al. 2019, arXiv 1904.01685.

    Example:
        >>> adaptive_error(torch.tensor([0.5, 1.0, 0.5, 1.0]), torch.tensor([True, True, False, False]), 2)
        0.25
    """
    order = confidence.argsort(stable=True)
    gaps = (correct[order].double() - confidence[order].double()).tensor_split(min(bins, len(order)))
    return sum(abs(float(gap.sum())) for gap in gaps) / len(order)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature T that minimizes the mean negative log-likelihood of logits / T, in [1/100, 100].

    The likelihood is concave in 1 / T, so that bisection on its derivative finds the one minimum.

    Args:
        logits: (n, classes), any float type.
        labels: int64 (n,).

    References:
        Guo et al. 2017, arXiv 1706.04599.
    """
    logits = logits.double()
    own = logits.gather(1, labels[:, None]).mean()

    def slope(beta: float) -> float:
        """d/d beta of the mean of logsumexp(beta z) - beta z_y."""
        return float(((logits * beta).softmax(1) * logits).sum(1).mean() - own)

    low, high = math.log(1 / 100), math.log(100)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(math.exp(middle)) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def scores(logits: Tensor, labels: Tensor, bins: int) -> dict[str, float]:
    """Return the calibration errors, the Brier score and the negative log-likelihood of logits (n, classes)."""
    p = logits.double().softmax(1)
    confidence, predicted = p.max(1)
    correct = predicted == labels
    return {
        "ece": calibration_error(confidence, correct, bins),
        "adaptive_ece": adaptive_error(confidence, correct, bins),
        "brier": float((p - F.one_hot(labels, p.shape[1])).square().sum(1).mean()),
        "nll": float(F.cross_entropy(logits.double(), labels)),
    }


_MEANINGS = {
    "ece": "expected calibration error over bins of equal width",
    "adaptive_ece": "the same over bins of equal numbers of samples",
    "brier": "mean squared distance of the probabilities to the label, summed over the classes",
    "nll": "mean negative log-likelihood, nats",
}


@measure(
    "calibration",
    "calibration before and after temperature scaling",
    group="predictions",
    settings={
        "bins": Hyper(15, "number of bins", low=1),
        "fold_seed": Hyper(0, "of the halves, where the run held nothing out", low=0),
    },
    values={
        **_MEANINGS,
        **{f"{key}_scaled": f"{text}, after scaling" for key, text in _MEANINGS.items()},
        "temperature": "by which the logits are divided; the mean of two where the run held nothing out",
    },
    paper="Guo et al. 2017, arXiv 1706.04599; Nixon et al. 2019, arXiv 1904.01685",
)
def calibration(subject: Subject, *, bins: int, fold_seed: int) -> Found:
    """Measure calibration on the reported part, and again with the temperature that is best on other data.

    That is the part that the run held out. A run that held nothing out is measured in halves: each is scaled by the
    temperature of the other.
    """
    images, labels = subject.sample("reported", 0, 0)
    logits = subject.predict(images).cpu()
    held_out = subject.part("held-out")
    if held_out is not None:
        temperatures = [fit_temperature(subject.predict(held_out[0]).cpu(), held_out[1])]
        scaled = logits / temperatures[0]
    else:
        order = torch.randperm(len(labels), generator=generator("measure folds", fold_seed))
        halves = order.tensor_split(2)
        temperatures = [fit_temperature(logits[half], labels[half]) for half in reversed(halves)]
        scaled = logits.clone()
        for half, temperature in zip(halves, temperatures, strict=True):
            scaled[half] /= temperature
    after = scores(scaled, labels, bins)
    return {
        **scores(logits, labels, bins),
        **{f"{key}_scaled": value for key, value in after.items()},
        "temperature": sum(temperatures) / len(temperatures),
    }
