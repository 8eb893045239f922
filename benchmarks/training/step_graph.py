"""A training step as graphs: its passes and its rule are recorded once, and started by a few calls from then on.

A step is a few hundred launches, and where the network is small the host cannot start them as fast as a GPU ends them.
What a recording has in it is fixed: memory, numbers, branches. So the first steps are made as ever and watched for
what the next one could do otherwise.

- The batch is copied to where the recorded one lay. What the rule remembers is copied back to where it lay. The
  variant's own random stream is seeded before each replay, as before each step.
- The step of the base optimizer stays outside, between two recordings, and with it its learning rate.
- A rule that looks at nothing on the host but numbers of its parameter groups has a recording for their values.
- A rule that looks at what moves (the number of the step, what it remembers on the host, a scheduled rate or radius)
  has one for each of its branches, with numbers that may move: see :mod:`.step_operations`.
"""

import logging
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from torch import Tensor

from ...errors import ConfigError
from ...variants import StepRule
from .classification import ClassificationOracle
from .recorded_step import RecordedStep, StepMemory, shape_of
from .step_recorder import RECORDERS, Recorder
from .step_watch import Watch

log = logging.getLogger("sambench")
MOST_WATCHED, MOST = 6, 4
"""Steps that are watched before one is recorded, and recordings that are kept of batches of one shape."""


def step_graph(rule: StepRule, oracle: ClassificationOracle) -> "StepGraph":
    """Return what makes the steps of a run by graphs.

    Raises:
        ConfigError: the device has none.
    """
    kind = oracle.device.type
    if kind not in RECORDERS:
        raise ConfigError(f"--cuda-graph records on devices of the kind {', '.join(RECORDERS)}, and this is {kind!r}")
    return StepGraph(rule, oracle, RECORDERS[kind](oracle.device))


class StepGraph:
    """Makes the steps of a run: recorded where that is possible, and else as the rule makes them; with the same bits.

    Args:
        rule: the optimizer of the run.
        oracle: its closure, to which the batch of the step is bound.
        recorder: records on the device of the run.
    """

    def __init__(self, rule: StepRule, oracle: ClassificationOracle, recorder: Recorder):
        self.rule, self.oracle, self.recorder = rule, oracle, recorder
        self.reason = ""
        """Why steps are not recorded; empty while they are, or may be."""
        self.replayed = 0
        self._by_shape: dict[Hashable, _Shape] = {}
        if rule.info.synchronizes:
            self._give_up("its rule waits for the device")
        elif oracle.scale.enabled:
            self._give_up("fp16 looks for overflows after every pass")
        elif oracle.process_group.size > 1:
            self._give_up("several devices exchange gradients")

    def describe(self) -> str:
        """Return how steps are made, for the record."""
        return f"no graph: {self.reason}" if self.reason else "graph"

    def step(self) -> Tensor:
        """Make a step on the batch that is bound, and return its loss."""
        if self.reason:
            return self.rule.step(self.oracle)
        shape = tuple(shape_of(batch) for batch in (self.oracle.batch, self.oracle.before) if batch is not None)
        known = self._by_shape.setdefault(shape, _Shape())
        if not known.settled():
            return self._watched(known)
        if not known.warm:  # what is compiled or planned at first use is there before it is recorded
            known.warm = True
            with self.recorder.aside():
                return self.rule.step(self.oracle)
        return self._by_branch(known) if known.looks else self._by_values(known)

    def _watched(self, known: "_Shape") -> Tensor:
        """Make a step as ever, and note what it looks at."""
        watch = Watch(self.rule, self.oracle)
        with self.recorder.aside(), watch.rule_watched(), watch:
            loss = self.rule.step(watch.closure)
        known.seen.append({name: self._read(name) for name in sorted(watch.read)})
        known.looks = known.looks or watch.looks or len(known.seen) == MOST_WATCHED
        if watch.why:
            self._give_up(watch.why)
        return loss

    def _by_values(self, known: "_Shape") -> Tensor:
        """Replay the recording for what the rule reads in its groups."""
        values = tuple(self._read(name) for name in known.seen[-1])
        if recorded := known.by_values.get(values):
            self.replayed += 1
            return recorded.replay()
        if known.moves(values):
            known.looks = True
            known.by_values.clear()
            return self._by_branch(known)
        recorded = RecordedStep(known.memory_of(self.rule, self.oracle))
        known.by_values[values] = recorded
        return self._record(recorded)

    def _by_branch(self, known: "_Shape") -> Tensor:
        """Replay the recording of the operations that the rule asks for."""
        memory, branches = known.memory_of(self.rule, self.oracle), known.branches
        for i, recorded in enumerate(branches):
            rehearsal = recorded.rehearse()
            if rehearsal is None:
                continue
            if rehearsal.moved:
                moving = {**recorded.moving, **rehearsal.moved}
                for scalar, number in rehearsal.numbers:
                    scalar.fill_(number)
                branches[i] = RecordedStep(memory, looks=True, moving=moving)
                return self._record(branches[i])
            self.replayed += 1
            return recorded.replay(rehearsal)
        if len(branches) < MOST:
            branches.append(RecordedStep(memory, looks=True))
            return self._record(branches[-1])
        if not any(one.replayed for one in branches):
            self._give_up("its rule makes other operations in every step")
        return self.rule.step(self.oracle)

    def _record(self, recorded: RecordedStep) -> Tensor:
        counted = replace(self.oracle.counters)
        try:
            loss = recorded.record(self.recorder)
        except RuntimeError as error:
            if recorded.begun:
                raise
            self._give_up(f"it cannot be recorded ({str(error).splitlines()[0]})")
            self.oracle.counters = counted
            self.oracle.forget_passes()
            return self.rule.step(self.oracle)
        if recorded.why:
            self._give_up(recorded.why)
        return loss

    def _read(self, name: tuple[int, str]) -> Any:
        """Return a value of a parameter group, by number and name."""
        value = self.rule.param_groups[name[0]].get(name[1])
        return value if isinstance(value, Hashable) else str(value)

    def _give_up(self, why: str) -> None:
        self.reason = why
        self._by_shape.clear()
        log.info("steps of %s are not recorded: %s", self.rule.info.name, why)


class _Shape:
    """What is known of steps on batches of one shape."""

    def __init__(self) -> None:
        self.seen: list[dict[tuple[int, str], Any]] = []
        """Numbers of parameter groups that watched steps read, by group and name."""
        self.looks, self.warm = False, False
        """Whether the rule looks at what moves; whether a step was made after those that were watched."""
        self.memory: StepMemory | None = None
        self.by_values: dict[tuple[Any, ...], RecordedStep] = {}
        self.branches: list[RecordedStep] = []

    def settled(self) -> bool:
        """Whether enough is known: the last two watched steps read the same numbers, or the rule looks elsewhere."""
        return len(self.seen) > 1 and (self.looks or self.seen[-1].keys() == self.seen[-2].keys())

    def moves(self, values: tuple[Any, ...]) -> bool:
        """Whether numbers move too often for recordings of each of their values."""
        if self.by_values:
            return len(self.by_values) == MOST
        return not tuple(self.seen[-2].values()) == tuple(self.seen[-1].values()) == values

    def memory_of(self, rule: StepRule, oracle: ClassificationOracle) -> StepMemory:
        """Return the memory that recordings of this shape work on."""
        if self.memory is None:
            self.memory = StepMemory(rule, oracle)
        return self.memory
