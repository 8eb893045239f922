"""The batch size of an epoch, from a spec as it stands in a record or in a run that is to come."""

from collections.abc import Mapping
from typing import Any


def reached(at: float, share: float, whole: float) -> bool:
    """Tell whether a share of the whole is over, whatever their product is rounded to.

    Example:
        >>> 0.55 * 100, reached(55, 0.55, 100), reached(54, 0.55, 100)
        (55.00000000000001, True, False)
    """
    return at >= share * whole - 1e-9 * whole


def batch_size_of(spec: Mapping[str, Any], epoch: int) -> int:
    r"""Return the batch size of an epoch 0, 1, ..., E - 1.

    - ``constant``: B, the spec's ``batch_size``;
    - ``doubling``: twice as many samples from each of the ``milestones`` on, which are shares of the run;
    - ``geometric``: :math:`B q^{e / (E - 1)}`, rounded, with q = ``batch_growth``.

    Example:
        >>> spec = {"batch_schedule": "geometric", "batch_size": 32, "epochs": 3}
        >>> [batch_size_of(spec, epoch) for epoch in range(3)]
        [32, 64, 128]
    """
    first, epochs, schedule = spec["batch_size"], spec["epochs"], spec.get("batch_schedule", "constant")
    if schedule == "doubling":
        return first * 2 ** sum(reached(epoch, share, epochs) for share in spec["milestones"])
    if schedule == "geometric":
        return round(first * spec.get("batch_growth", 4.0) ** (epoch / max(1, epochs - 1)))
    return first
