"""Evaluation of averaged weights, with the BatchNorm statistics that belong to them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import nn

from ...results.records.record import Evaluated
from ...variants.averages import WeightAverage
from .batch_norm import RunningStatistics


@contextmanager
def evaluated(
    average: WeightAverage, model: nn.Module, statistics: RunningStatistics, passes: Iterable[Callable[[], object]]
) -> Iterator[int]:
    """Inside the block the model has the weights that the run evaluates: the last ones, or their average.

    Args:
        average: the weight average of the run.
        model: of the run; weights and buffers are back, bit for bit, after the block.
        statistics: running statistics of the model's BatchNorm layers.
        passes: forward passes over training data, which recompute the statistics where the average needs it.

    Yields:
        How many passes that took.
    """
    if average.count == 0 or average.statistics != "recomputed":
        with average.applied():
            yield 0
        return
    stored = statistics.copy()
    try:
        with average.applied():
            yield statistics.recompute(model, passes)
    finally:
        statistics.put_back(stored)


def describe_average(average: WeightAverage, passes: int) -> Evaluated | None:
    """Say what was measured in place of the last weights, if anything."""
    if average.name == "none":
        return None
    return Evaluated.model_validate(
        {"average": average.name, "models": average.count, "statistics": average.statistics, "passes": passes}
    )
