"""The losses on the straight line to the weights of another run, or to the initial ones."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...hyper import Hyper
from ..measuring.objective import Objective
from ..measuring.registry import Found, measure
from ..measuring.subject import SAMPLE, Subject
from ..training.batch_norm import RunningStatistics
from ..training.evaluation import BATCH
from .surface import LOSSES, POINTS


def _other_end(subject: Subject, to: str) -> nn.Module:
    """Return the network at the other end.

    Raises:
        ConfigError: it is another network, or was made on other data.
    """
    if not to:
        return subject.initial
    other = subject.another(to)
    for what in ("model", "norm", "dataset"):
        here, there = getattr(subject.spec, what), getattr(other.spec, what)
        if here != there:
            raise ConfigError(
                f"to={to[:12]} has {what}={there!r} and this run {here!r}: a line joins runs that share both"
            )
    return other.network


def _renew_statistics(network: nn.Module, theta: Tensor, objectives: Sequence[Objective], images: Tensor) -> None:
    """Make the BatchNorm statistics of a network anew at a point (P,), and give its buffers to the objectives."""
    statistics = RunningStatistics(network)
    if not statistics.layers:
        return
    with torch.no_grad():
        network.load_state_dict(objectives[0].named(theta), strict=False)
        parts = images.tensor_split(-(-len(images) // BATCH))  # the mean over batches weights all of them alike
        statistics.recompute(network, (lambda part=part: network(part) for part in parts))
    for objective in objectives:
        objective.buffers = dict(network.named_buffers())


@measure(
    "line",
    "training and test loss on the line to another run",
    group="landscape",
    settings={
        "to": Hyper(
            "", "run at the other end, all 64 digits of its id; none: the initial weights", pattern="[0-9a-f]*"
        ),
        "points": POINTS,
        **SAMPLE,
    },
    values={"barrier": "most that train lies above the straight line between its ends, nats", **LOSSES},
    version=2,
    paper="Goodfellow et al. 2014, arXiv 1412.6544; Frankle et al. 2020, arXiv 1912.05671",
)
def line(subject: Subject, *, to: str, points: int, **sample: Any) -> Found:
    """Measure the losses at (1 - x) w + x v, x from 0 to 1, in evaluation mode.

    The BatchNorm statistics are made anew at every point, the mean over batches of one size of the training sample:
    those of either end belong to no other point. In version 1 a short last batch counted like the others.
    """
    train, test = (subject.objective(**sample, part=part) for part in ("train", "reported"))
    network = copy.deepcopy(subject.network).to(train.theta.dtype)
    end = torch.cat([p.detach().flatten() for p in _other_end(subject, to).parameters()]).to(train.theta)
    shares = torch.linspace(0, 1, points, dtype=torch.float64).tolist()
    found = {"x": shares, "train": list[float](), "test": list[float]()}
    for share in shares:
        theta = torch.lerp(train.theta, end, share)
        _renew_statistics(network, theta, (train, test), train.images)
        found["train"].append(float(train.loss(theta)))
        found["test"].append(float(test.loss(theta)))
    losses = found["train"]
    above = [loss - (1 - x) * losses[0] - x * losses[-1] for x, loss in zip(shares, losses, strict=True)]
    return {"barrier": float(np.max(above)), **found}
