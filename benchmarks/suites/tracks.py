"""Tracks: what a comparison holds equal, and the epochs that follow from it. Pure functions.

====  ======================================  ========================================================
E     equal epochs                            every method trains for the epochs of the suite
G     equal gradient evaluations              epochs of the suite times 2, over the method's own cost
T     equal wall-clock time on one device     seconds of the suite over the method's own time an epoch
====  ======================================  ========================================================

Quotients are rounded down to whole epochs, so that by its declared cost no method gets more than the budget, and what
it may lose is less than one of its epochs. The learning-rate schedule, warm-up included, is stretched over the epochs
that result: each method anneals to the end of its own run. A method whose cost is drawn at random counts with the mean
that it declares; what it really spent is counted in its record and shown beside the budget.

T fixes the epochs before the runs start, from a calibration that trains one epoch of every method in turns on the named
device. The alternative, to stop each run when its time is over and to drive the schedule by the clock, would make the
result depend on every disturbance of the machine and no run could be resumed or repeated to the bit. The price is that
the time spent agrees only as well as the machine is steady; records prove how well.
"""

import math
from collections.abc import Mapping
from typing import Any

from ...errors import ConfigError
from ..resolve import make_spec
from ..spec import RunSpec

REFERENCE_COST = 2.0
"""Gradient evaluations of a step of SAM: with them, the epochs of a suite are SAM's, and SGD gets twice as many."""

_SLACK = 1e-9  # 2 * 10 / 0.2 is a whole number that floating point may put just below itself


def epochs_within(budget: float, cost: float) -> int:
    """Return the whole epochs that a budget pays for, at least one.

    Args:
        budget: what a run may spend.
        cost: of one epoch, in the same unit.

    Example:
        >>> [epochs_within(40, cost) for cost in (1.0, 2.0, 3.0, 1.2)]
        [40, 20, 13, 33]
    """
    return max(1, math.floor(budget / cost + _SLACK))


def budget_of(track: str, epochs: int, seconds: float | None = None) -> float:
    """Return what a run may spend: epochs (E), passes of the data forward and backward (G), seconds (T)."""
    if track == "T":
        if seconds is None or seconds <= 0:
            raise ConfigError(f"track T needs a time budget: write [time] seconds = ..., a number > 0, not {seconds!r}")
        return float(seconds)
    return float(epochs) if track == "E" else REFERENCE_COST * epochs


def fit(
    fields: Mapping[str, Any], track: str, budget: float, epoch_seconds: float | None = None, *, share: float = 1.0
) -> RunSpec:
    """Resolve a run with the epochs that its track gives it, its warm-up stretched by the same factor.

    Args:
        fields: of the run; ``epochs`` are those of the suite.
        track: name of the track, ``E``, ``G`` or ``T``.
        budget: the track's budget in its own unit, from :func:`budget_of`.
        epoch_seconds: measured time of one epoch of this method; track T only.
        share: of the epochs that the budget allows, what the run uses; its schedule is stretched to them.
    """
    spec = make_spec(fields)
    if track == "E" and share == 1:
        return spec
    costs = {"E": 1.0, "G": spec.declared_gradients, "T": epoch_seconds}
    cost = costs[track]
    if not cost:
        raise ConfigError(f"{spec.variant!r} has no measured time an epoch; run `sambench calibrate` on this suite")
    epochs = epochs_within(epochs_within(budget, cost), 1 / share)
    warmup = spec.warmup_epochs * epochs / spec.epochs
    return make_spec({**fields, "epochs": epochs, "warmup_epochs": warmup})
