"""The direction in which a rule perturbs the weights, against that of the gradient of the whole sample."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import ConfigError
from ...hyper import Hyper
from ...seeding import generator
from ...variants import create, get_info
from ..measuring.registry import Found, NotApplicable, measure
from ..measuring.subject import SAMPLE, Subject

LR = 0.1
"""Rate of the steps, at which rules that tie their radius to it have all of it; they lead nowhere."""


@measure(
    "ascent",
    "how far the direction in which a rule perturbs is from that of the gradient of the whole sample",
    group="sampling",
    settings={
        "rule": Hyper("sam", "variant, with its defaults, that perturbs the weights once a step", pattern="[a-z0-9_]+"),
        "batch": Hyper(128, "samples of a batch", low=1),
        "steps": Hyper(64, "batches", low=1),
        "warmup": Hyper(32, "batches before them, for what the rule remembers", low=0),
        "draw_seed": Hyper(0, "of the batches", low=0),
        **SAMPLE,
    },
    values={
        "distance": "mean of ||e/||e|| - g/||g||||^2 over the batches, e the perturbation, g the gradient of the whole",
        "cosine": "mean cosine of e and g",
        "length": "mean of ||e||",
    },
    paper="Li and Giannakis 2023, arXiv 2309.15639; Li et al. 2024, arXiv 2403.12350",
)
def ascent(subject: Subject, *, rule: str, batch: int, steps: int, warmup: int, draw_seed: int, **sample: Any) -> Found:
    """Let the rule itself make steps of SGD on batches in random order, and look where it evaluates.

    The weights are put back after each step, so that what the rule remembers is of these weights alone. A batch at
    which e is zero, as where every sample is fitted to the last bit, has no direction and does not count.
    """
    objective = subject.objective(**sample)
    network = copy.deepcopy(subject.network).to(objective.theta.dtype).eval()
    params = [p.requires_grad_() for p in network.parameters()]
    get_info(rule)  # refuses an unknown one
    try:
        optimizer = create(rule, network, lr=LR, momentum=0.9)
    except ConfigError as error:
        raise NotApplicable(f"rule={rule!r}: {error}") from error
    kept, whole = [p.detach().clone() for p in params], objective.gradient(objective.theta)[1]
    direction = whole / whole.norm()
    looked = list[Tensor]()
    found = list[tuple[float, float]]()
    for number, part in enumerate(_batches(len(objective.labels), batch, warmup + steps, draw_seed)):

        def closure(part: Tensor = part) -> Tensor:
            looked.append(_vector(params))
            optimizer.zero_grad()
            loss = F.cross_entropy(network(objective.images[part]), objective.labels[part])
            loss.backward()
            return loss

        looked.clear()
        try:
            optimizer.step(closure)
        except ConfigError as error:
            raise NotApplicable(str(error)) from error
        with torch.no_grad():
            torch._foreach_copy_(params, kept)
        step = looked[min(1, len(looked) - 1)] - looked[0]
        if number >= warmup and step.norm() > 0:
            found.append((float(step @ direction / step.norm()), float(step.norm())))
    if not found:
        raise NotApplicable(f"the rule {rule!r} looks at no perturbed weights in its second pass, of any batch")
    cosine, length = (sum(values) / len(found) for values in zip(*found, strict=True))
    return {"distance": 2 - 2 * cosine, "cosine": cosine, "length": length}


def _batches(count: int, batch: int, number: int, seed: int) -> "list[Tensor]":
    """Return so many batches of positions, each epoch's in an order of its own."""
    random, size = generator("measure ascent", seed), min(batch, count)
    found = list[Tensor]()
    while len(found) < number:
        found += torch.randperm(count, generator=random)[: count // size * size].split(size)
    return found[:number]


def _vector(params: Sequence[Tensor]) -> Tensor:
    return torch.cat([p.detach().flatten() for p in params])
