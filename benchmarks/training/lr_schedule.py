"""Schedules of the learning rate and of rho: pure functions of the step."""

import math
from collections.abc import Callable

from ...results.records.batch_size import reached

SCHEDULES = ("cosine", "multistep", "constant", "polynomial")
RHO_SCHEDULES = ("constant", "linear", "cosine", "inverse-sqrt")


def learning_rate(
    step: float,
    total_steps: float,
    *,
    lr: float,
    schedule: str,
    steps_per_epoch: int,
    warmup_epochs: float = 0.0,
    milestones: tuple[float, ...] = (),
    gamma: float = 0.1,
    power: float = 1.0,
    unit: str = "step",
    shape: Callable[[float], float | None] = lambda progress: None,
) -> float:
    r"""Return the learning rate of a step 0, 1, ..., ``total_steps - 1``.

    Warm-up rises linearly over the first W steps, :math:`lr (t+1)/W`; after it, with u the share of the rest that is
    over,

    - ``cosine``: :math:`lr (1 + \cos \pi u) / 2`, which reaches 0 at the end;
    - ``multistep``: lr times ``gamma`` for each milestone passed; milestones are shares of the whole run (0.5, 0.75);
    - ``polynomial``: :math:`lr (1 - u)^p` with p = ``power``; 1 is linear;
    - ``constant``: lr.

    ``shape(u)``, with u the share of the run that is over, takes the place of the schedule where it returns a factor.
    ``unit="epoch"`` holds the value of an epoch's first step for the whole epoch.

    Example:
        >>> [round(learning_rate(t, 4, lr=0.1, schedule="cosine", steps_per_epoch=2), 4) for t in range(4)]
        [0.1, 0.0854, 0.05, 0.0146]
    """
    if unit == "epoch":
        step -= step % steps_per_epoch
    warmup = warmup_epochs * steps_per_epoch
    if step < warmup:
        return lr * min(1.0, (step + 1) / warmup)
    if (factor := shape(step / total_steps)) is not None:
        return lr * factor
    if schedule == "multistep":
        return lr * gamma ** sum(reached(step, milestone, total_steps) for milestone in milestones)
    if schedule == "constant":
        return lr
    if schedule == "polynomial":
        return lr * (1.0 - (step - warmup) / max(1.0, total_steps - warmup)) ** power
    return lr * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1.0, total_steps - warmup)))


def rho_factor(step: float, total_steps: float, *, schedule: str, steps_per_epoch: int, unit: str = "step") -> float:
    r"""Return what rho is multiplied by in a step 0, 1, ..., with u = step / total_steps: there is no warm-up.

    - ``constant``: 1;
    - ``linear``: 1 - u;
    - ``cosine``: :math:`(1 + \cos \pi u) / 2`;
    - ``inverse-sqrt``: :math:`t^{-1/2}`, with t = 1, 2, ... counting steps, or epochs with ``unit="epoch"``.

    ``unit="epoch"`` holds the value of an epoch's first step for the whole epoch.

    Example:
        >>> [rho_factor(t, 4, schedule="inverse-sqrt", steps_per_epoch=2) for t in (0, 3)]
        [1.0, 0.5]
    """
    if unit == "epoch":
        step -= step % steps_per_epoch
    if schedule == "inverse-sqrt":
        return (1 + (step if unit == "step" else step / steps_per_epoch)) ** -0.5
    over = step / total_steps
    return {"constant": 1.0, "linear": 1.0 - over, "cosine": 0.5 * (1.0 + math.cos(math.pi * over))}[schedule]
