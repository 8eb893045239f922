"""The batch size of each epoch of a run, by its schedule; a run of one size has one phase."""

from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from ..results.records.batch_size import batch_size_of
from .spec import RunSpec


class Phase(NamedTuple):
    """Epochs of one batch size: from ``first`` up to and without ``end``, counted from 0."""

    first: int
    end: int
    size: int


def batch_phases(spec: RunSpec) -> tuple[Phase, ...]:
    """Return the phases of a run.

    Example:
        >>> batch_phases(RunSpec(batch_schedule="doubling", epochs=8, batch_size=32, milestones=(0.5, 0.75)))
        (Phase(first=0, end=4, size=32), Phase(first=4, end=6, size=64), Phase(first=6, end=8, size=128))
    """
    if spec.batch_schedule == "constant":
        return (Phase(0, spec.epochs, spec.batch_size),)
    fields = spec.model_dump()
    sizes = [batch_size_of(fields, epoch) for epoch in range(spec.epochs)]
    turns = [0, *(epoch for epoch in range(1, spec.epochs) if sizes[epoch] != sizes[epoch - 1])]
    return tuple(Phase(first, end, sizes[first]) for first, end in pairwise([*turns, spec.epochs]))


class Timeline:
    """When each epoch of a run begins, in steps.

    Args:
        phases: from :func:`batch_phases`.
        steps_of: function from a batch size to the steps of an epoch.
    """

    def __init__(self, phases: tuple[Phase, ...], steps_of: Callable[[int], int]):
        self.phases = phases
        self.steps = [steps_of(phase.size) for phase in phases]

    def phase(self, epoch: int) -> int:
        """Return the number of the phase of an epoch."""
        return bisect_right([phase.first for phase in self.phases], epoch) - 1

    def size(self, epoch: int) -> int:
        """Return the batch size of an epoch."""
        return self.phases[self.phase(epoch)].size

    def start(self, epoch: int) -> int:
        """Return the number of steps before an epoch; before the one after the last, those of the whole run."""
        return sum(
            steps * (min(epoch, phase.end) - phase.first)
            for phase, steps in zip(self.phases, self.steps, strict=True)
            if phase.first < epoch
        )

    def position(self, epoch: int, step: int) -> float:
        """Return how far a run is at a step, in steps of its first phase, so that every epoch is equally long."""
        return epoch * self.steps[0] + (step - self.start(epoch)) * (self.steps[0] / self.steps[self.phase(epoch)])

    def in_first_batches(self) -> float:
        """Return the steps of the run, each as the share that its batch is of the first phase's."""
        first = self.phases[0].size
        return sum(
            steps * (phase.end - phase.first) * (phase.size / first)
            for phase, steps in zip(self.phases, self.steps, strict=True)
        )
