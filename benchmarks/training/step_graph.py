"""A training step as graphs: its passes and its rule are recorded once, and started by one call from then on.

A step is a few hundred launches, and where the network is small the host cannot start them as fast as a GPU ends them.
What a recording has in it is fixed: memory, numbers, branches. So the first steps are made as ever and watched for
what the next one could do otherwise, and a rule that looks at something that moves is not recorded:

- Every number of a parameter group that the rule reads is part of the key of a recording. The learning rate of the base
  optimizer is none: its step stays outside, between two recordings.
- The batch is copied to where the recorded one lay. What the rule remembers is copied back to where it lay.
- The variant's own random stream is seeded before each replay, as before each step.
"""

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import astuple, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ...errors import ConfigError
from ...seeding import derive_seed
from ...variants import StepRule
from .batch import Batch
from .classification import ClassificationOracle
from .meters import RunningCounters

log = logging.getLogger("sambench")
MOST_WATCHED, MOST = 6, 4
"""Steps that are watched before one is recorded, and recordings that are kept of batches of one shape."""
MOVING = {
    "steps": "its rule looks at the number of the step",
    "step": "its rule looks at the number of the step",
    "epoch": "its rule looks at the epoch",
    "scalars": "its rule remembers numbers on the host",
    "previous": "its rule looks at the batch of the step before",
    "fresh": "its rule asks for further batches",
}
"""What a rule may look at that no recording can hold."""
READ = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2")
AFTER = ("passes", "_seen", "gradient_norms", "outputs", "_last", "first")
"""What the oracle knows of a step once it was made."""


class Recording(Protocol):
    """Operations of a part of a step."""

    def start(self) -> None:
        """Record what is asked of the device from here on."""
        ...

    def stop(self) -> None:
        """End the recording; what is in it has been carried out."""
        ...

    def replay(self) -> None:
        """Carry it out again."""
        ...


class Recorder(Protocol):
    """Makes recordings on a device."""

    def aside(self) -> AbstractContextManager[Any]:
        """Where a step is made before one is recorded."""
        ...

    def recordings(self, generator: torch.Generator) -> Callable[[], Recording]:
        """Return what makes the recordings of one step, which may draw from this generator."""
        ...


class CudaRecorder:
    """CUDA graphs, on a stream of their own."""

    def __init__(self, device: torch.device):
        self.stream = torch.cuda.Stream(device)

    @contextmanager
    def aside(self) -> Iterator[None]:
        present = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(present)
        with torch.cuda.stream(self.stream):
            yield
        present.wait_stream(self.stream)

    def recordings(self, generator: torch.Generator) -> Callable[[], Recording]:
        pool = torch.cuda.graph_pool_handle()
        return lambda: _CudaGraph(self.stream, pool, generator)


class _CudaGraph:
    def __init__(self, stream: torch.cuda.Stream, pool: Any, generator: torch.Generator):
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(generator)
        self.context = torch.cuda.graph(self.graph, pool=pool, stream=stream, capture_error_mode="thread_local")
        self.replay = self.graph.replay

    def start(self) -> None:
        self.outside = torch.cuda.current_stream()
        self.context.__enter__()

    def stop(self) -> None:
        try:
            self.context.__exit__(None, None, None)
        finally:
            torch.cuda.set_stream(self.outside)  # where the recording has failed, nobody else does
        self.graph.replay()


RECORDERS: dict[str, Callable[[torch.device], Recorder]] = {"cuda": CudaRecorder}
"""Kind of device -> what records on it."""


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
        known = self._by_shape.setdefault(_shape(self.oracle.batch), _Shape())
        if not known.settled():
            return self._watched(known)
        if not known.warm:  # what is compiled or planned at first use is there before it is recorded
            known.warm = True
            with self.recorder.aside():
                return self.rule.step(self.oracle)
        values = tuple(_read(self.rule, name) for name in known.seen[-1])
        if recorded := known.steps.get(values):
            self.replayed += 1
            return recorded.replay()
        if moves := known.moves(values, MOST):
            self._give_up(f"its rule reads {', '.join(sorted(moves))}, which moves")
            return self.rule.step(self.oracle)
        known.static = known.static or _copy(self.oracle.batch)
        recorded = RecordedStep(self.rule, self.oracle, known.static)
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
        else:
            known.steps[values] = recorded
        return loss

    def _give_up(self, why: str) -> None:
        self.reason = why
        self._by_shape.clear()
        log.info("steps of %s are not recorded: %s", self.rule.info.name, why)

    def _watched(self, known: "_Shape") -> Tensor:
        """Make a step as ever, and note what it looks at."""
        watch = _Watch(self.rule, self.oracle)
        with self.recorder.aside(), watch.rule_watched(), watch:
            loss = self.rule.step(watch.closure)
        known.seen.append({name: _read(self.rule, name) for name in sorted(watch.read)})
        if watch.why:
            self._give_up(watch.why)
        elif len(known.seen) == MOST_WATCHED and not known.settled():
            self._give_up("its rule reads other numbers in every step")
        return loss


class _Shape:
    """What is known of steps on batches of one shape."""

    def __init__(self) -> None:
        self.seen: list[dict[tuple[int, str], Any]] = []
        """Numbers of parameter groups that watched steps read, by group and name."""
        self.steps: dict[tuple[Any, ...], RecordedStep] = {}
        self.static: Batch | None = None
        self.warm = False

    def settled(self) -> bool:
        """Whether the last two watched steps read the same numbers, be their values what they may."""
        return len(self.seen) > 1 and self.seen[-1].keys() == self.seen[-2].keys()

    def moves(self, values: tuple[Any, ...], most: int) -> set[str]:
        """Return the names of numbers that move too often for recordings of each of their values."""
        last = self.seen[-1]
        known = [self.seen[-2].values(), last.values(), *self.steps]
        differing = {name for then in known for (_, name), a, b in zip(last, then, values, strict=True) if a != b}
        return differing if len(self.steps) == most or (not self.steps and differing) else set()


class RecordedStep:
    """One step: recordings with the base optimizer's steps between them, and what it leaves behind on the host.

    Args:
        rule: the optimizer.
        oracle: its closure.
        batch: memory of the batch that the recordings read.
    """

    def __init__(self, rule: StepRule, oracle: ClassificationOracle, batch: Batch):
        self.rule, self.oracle, self.batch = rule, oracle, batch
        self.generator = torch.Generator(oracle.device)
        self.parts: list[tuple[Recording, list[tuple[Tensor, Tensor | None]] | None]] = []
        """Recordings, and the gradients of the step of the base optimizer that follows, if one does."""
        self.places: dict[tuple[Tensor, str], Tensor] = {}
        """Where the recordings find what the rule remembers."""
        self.mark = torch.zeros((), device=oracle.device)
        self.begun, self.why = False, ""
        self.counted: tuple[float, ...] = ()
        self.after: dict[str, Any] = {}
        self.loss = torch.empty(0)

    def _prepare(self) -> None:
        rule = self.rule
        for mine, given in zip(_tensors(self.batch), _tensors(self.oracle.batch), strict=True):
            mine.copy_(given)
        self.oracle.batch = self.batch
        for (p, name), place in self.places.items():
            if (present := rule.own[p][name]) is not place:  # a step that was not recorded came between
                rule.own[p][name] = place.copy_(present)
        self.generator.manual_seed(derive_seed(f"variant:{rule.info.name}", rule.seed, rule.steps))

    def record(self, recorder: Recorder) -> Tensor:
        """Make the step and record it."""
        oracle, rule, base = self.oracle, self.rule, self.rule.base
        self._prepare()
        before, counted = _memory(rule), astuple(oracle.counters)
        state = _state(base)
        make, params = recorder.recordings(self.generator), [p for group in rule.param_groups for p in group["params"]]

        def begin() -> Recording:
            recording = make()
            recording.start()
            self.mark.add_(1)  # a recording of nothing would be an error
            return recording

        def end(recording: Recording, gradients: list[tuple[Tensor, Tensor | None]] | None) -> None:
            recording.stop()
            self.begun = True
            self.parts.append((recording, gradients))

        def step_of_base() -> None:
            nonlocal open_
            end(open_, [(p, p.grad) for p in params])
            step()
            open_ = begin()

        step, oracle.draws = base.step, False
        vars(base)["step"], vars(rule)["noise"] = step_of_base, lambda: self.generator
        open_ = begin()
        try:
            self.loss = rule.step(oracle)
            self._keep_in_place(before)
            end(open_, None)
        except BaseException:
            with suppress(RuntimeError):
                open_.stop()
            if not self.begun:  # nothing was carried out
                rule.own.clear()
                for (p, name), tensor in before.items():
                    rule.own.setdefault(p, {})[name] = tensor
            raise
        finally:
            del vars(base)["step"], vars(rule)["noise"]
            oracle.draws = True
        if _state(base) != state:
            self.why = "its base optimizer replaces its state"
        self.counted = tuple(now - then for now, then in zip(astuple(oracle.counters), counted, strict=True))
        self.after = {name: getattr(oracle, name) for name in AFTER}
        return self.loss

    def _keep_in_place(self, before: dict[tuple[Tensor, str], Tensor]) -> None:
        """Copy what the rule remembers anew to where the next replay reads it."""
        after = _memory(self.rule)
        changed = [key for key, tensor in after.items() if tensor is not before.get(key)]
        olds = {before[key].data_ptr() for key in changed if key in before}
        if after.keys() != before.keys() or olds & {after[key].data_ptr() for key in changed}:
            self.why = "its rule changes what it remembers from step to step"
            return
        for p, name in changed:
            old = before[p, name]
            self.rule.own[p][name] = old.copy_(after[p, name])
        self.places = before

    def replay(self) -> Tensor:
        """Make the step on the batch that is bound; its loss is overwritten by the next one."""
        self._prepare()
        for recording, gradients in self.parts:
            recording.replay()
            if gradients is not None:
                for p, g in gradients:
                    p.grad = g
                self.rule.base.step()
        vars(self.rule)["steps"] += 1
        for name, value in self.after.items():
            setattr(self.oracle, name, value)
        counters = self.oracle.counters
        for one, more in zip(fields(RunningCounters), self.counted, strict=True):
            setattr(counters, one.name, getattr(counters, one.name) + more)
        return self.loss


class _Watch(TorchDispatchMode):
    """Notes what a step looks at on the host: numbers of its groups, and whatever no recording can hold."""

    def __init__(self, rule: StepRule, oracle: ClassificationOracle):
        super().__init__()
        self.rule, self.closure = rule, _Closure(oracle, self.note)
        self.read: set[tuple[int, str]] = set()
        self.why, self.open, self.streams = "", True, 0

    def note(self, name: str) -> None:
        self.why = self.why or MOVING.get(name, "")

    def note_value(self, group: int, name: str) -> None:
        if self.open and name != "params":
            self.read.add((group, name))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.open and torch.Tag.nondeterministic_seeded in func.tags and not (kwargs or {}).get("generator"):
            self.why = self.why or "random numbers are drawn in a pass (dropout)"
        if self.open and func.overloadpacket.__name__ in READ:
            self.why = self.why or "the host reads a value of the step"
        return func(*args, **(kwargs or {}))

    def noise(self) -> torch.Generator:
        self.streams += 1
        if self.streams > 1:
            self.why = self.why or "its rule starts its random stream more than once a step"
        rule = self.rule
        made = _Stream(rule.param_groups[0]["params"][0].device)
        made.note = self.note
        made.manual_seed(derive_seed(f"variant:{rule.info.name}", rule.seed, vars(rule)["steps"]))
        return made

    @contextmanager
    def rule_watched(self) -> Iterator[None]:
        """Let the rule tell, inside the block, what it reads; the base optimizer's step is its own affair."""
        rule, base, cls, groups = self.rule, self.rule.base, type(self.rule), list(self.rule.param_groups)
        step = base.step

        def step_of_base() -> None:
            self.open = False
            step()
            self.open = True

        object.__setattr__(rule, "__class__", _telling(cls, self.note))
        vars(rule)["noise"], vars(base)["step"] = self.noise, step_of_base
        rule.param_groups[:] = [_Group(group, i, self.note_value) for i, group in enumerate(groups)]
        try:
            yield
        finally:
            object.__setattr__(rule, "__class__", cls)
            del vars(rule)["noise"], vars(base)["step"]
            for i, group in enumerate(groups):
                group.update(dict.items(rule.param_groups[i]))
            rule.param_groups[:] = groups


class _Closure:
    """The oracle, as a rule sees it."""

    def __init__(self, oracle: ClassificationOracle, note: Callable[[str], None]):
        self._oracle, self._note = oracle, note

    def __getattr__(self, name: str) -> Any:
        self._note(name)
        return getattr(self._oracle, name)

    def __call__(self, **request: Any) -> Tensor:
        for name in request:
            self._note(name)
        return self._oracle(**request)


class _Group(dict[str, Any]):
    """A parameter group that tells which of its values are read."""

    def __init__(self, group: dict[str, Any], at: int, note: Callable[[int, str], None]):
        super().__init__(group)
        self.at, self.note = at, note

    def __getitem__(self, name: str) -> Any:
        self.note(self.at, name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.note(self.at, name)
        return super().get(name, default)

    def items(self) -> Any:
        for name in self:
            self.note(self.at, name)
        return super().items()


class _Stream(torch.Generator):
    """A random stream that tells when the host looks at its seed, which is another in every step."""

    note: Callable[[str], None]

    def initial_seed(self) -> int:
        self.note("steps")
        return super().initial_seed()


def _telling(cls: type[StepRule], note: Callable[[str], None]) -> type[StepRule]:
    """Return a class of rules that tell when they look at their counters."""

    def told(name: str) -> property:
        def get(rule: StepRule) -> Any:
            note(name)
            return vars(rule)[name]

        return property(get)

    return type(cls.__name__, (cls,), {name: told(name) for name in ("steps", "scalars")})


def _read(rule: StepRule, name: tuple[int, str]) -> Any:
    value = rule.param_groups[name[0]].get(name[1])
    return value if isinstance(value, Hashable) else str(value)


def _tensors(batch: Batch) -> list[Tensor]:
    weights = [] if batch.weights is None else [batch.weights]
    return [batch.images, batch.labels, batch.ids, *weights, *(batch.targets or ())]


def _shape(batch: Batch) -> Hashable:
    """Return what has to be the same of two batches for one recording to do for both."""
    return batch.weights is None, batch.targets is None, *((t.shape, t.dtype, t.stride()) for t in _tensors(batch))


def _copy(batch: Batch) -> Batch:
    """Return a batch of the same strides in memory of its own."""
    images, labels, ids, *rest = [t.clone(memory_format=torch.preserve_format) for t in _tensors(batch)]
    weights = None if batch.weights is None else rest.pop(0)
    return Batch(images, labels, ids, weights, None if batch.targets is None else tuple(rest))


def _memory(rule: StepRule) -> dict[tuple[Tensor, str], Tensor]:
    return {(p, name): tensor for p, tensors in rule.own.items() for name, tensor in tensors.items()}


def _state(base: torch.optim.Optimizer) -> list[int]:
    """Return where the base optimizer's state lies."""
    return [v.data_ptr() for state in base.state.values() for v in state.values() if isinstance(v, Tensor) and v.ndim]
