"""Learning-rate schedules: pure functions of the step."""

import math
from collections.abc import Callable

SCHEDULES = ("cosine", "multistep", "constant")


def learning_rate(
    step: int,
    total_steps: int,
    *,
    lr: float,
    schedule: str,
    steps_per_epoch: int,
    warmup_epochs: float = 0.0,
    milestones: tuple[float, ...] = (),
    gamma: float = 0.1,
    unit: str = "step",
    shape: Callable[[float], float | None] = lambda progress: None,
) -> float:
    r"""Return the learning rate of a step 0, 1, ..., ``total_steps - 1``.

    Warm-up rises linearly over the first W steps, :math:`lr (t+1)/W`; after it, with u the share of the rest that is
    over,

    - ``cosine``: :math:`lr (1 + \cos \pi u) / 2`, which reaches 0 at the end;
    - ``multistep``: lr times ``gamma`` for each milestone passed; milestones are shares of the whole run (0.5, 0.75);
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
        return lr * gamma ** sum(step >= milestone * total_steps for milestone in milestones)
    if schedule == "constant":
        return lr
    return lr * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1.0, total_steps - warmup)))
