"""One step as recordings, with what lies between them, what it leaves on the host, and the memory that it works on."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import astuple, fields
from typing import Any

import torch
from torch import Tensor

from ...seeding import derive_seed
from ...variants import Gradient, StepRule
from .batch import Batch
from .classification import ClassificationOracle
from .meters import RunningCounters
from .step_operations import Asked, Moving, Noted, Operation, OtherOperationsError, Rehearsal, copy_into
from .step_recorder import Recorder, Recording
from .step_watch import TWICE

AFTER = ("passes", "_seen", "gradient_norms", "outputs", "_last", "first")
"""What the oracle knows of a step once it was made."""


class StepMemory:
    """Where recordings find the batches, what the rule remembers, and its random stream.

    Args:
        rule: the optimizer.
        oracle: its closure; batches have the shapes of those that are bound to it.
    """

    def __init__(self, rule: StepRule, oracle: ClassificationOracle):
        self.rule, self.oracle = rule, oracle
        before: Any = oracle.before
        self.batch, self.before = _copy(oracle.batch), before and _copy(before)
        self.fresh: dict[int, Batch] = {}
        self.places: dict[tuple[Tensor, str], Tensor] = {}
        self.generator = torch.Generator(oracle.device)

    def load(self) -> None:
        """Copy what this step works on to where recordings find it."""
        rule, oracle = self.rule, self.oracle
        before: Any = oracle.before
        if before is not None and self.before is not None:  # first: it may lie where the present one will
            oracle.before = _fill(self.before, before)
        oracle.batch = _fill(self.batch, oracle.batch)
        for (p, name), there in self.places.items():
            if (present := rule.own[p][name]) is not there:  # a step that was not recorded came between
                rule.own[p][name] = there.copy_(present)
        self.generator.manual_seed(derive_seed(f"variant:{rule.info.name}", rule.seed, rule.steps))

    def fetch(self, number: int) -> Batch:
        """Return a further batch of the step, where recordings find it."""
        oracle = self.oracle
        given = type(oracle)._asked_for(oracle, previous=False, fresh=number)
        if number not in self.fresh:
            self.fresh[number] = _copy(given)
        return _fill(self.fresh[number], given)


class RecordedStep:
    """One step: recordings, and what is made between them: steps of the base optimizer, and what no recording can hold.

    Args:
        memory: that it works on.
        looks: whether its rule looks at what moves from step to step, so that its operations have to be compared.
        moving: operations whose numbers move.
    """

    def __init__(self, memory: StepMemory, *, looks: bool = False, moving: Moving | None = None):
        self.memory, self.rule, self.oracle = memory, memory.rule, memory.oracle
        self.looks, self.moving = looks, moving or {}
        self.parts: list[Callable[[], Any]] = []
        self.operations: list[Operation] = []
        self.begun, self.why = False, ""
        self.replayed = 0
        self.counted: tuple[float, ...] = ()
        self.after: dict[str, Any] = {}
        self.loss = torch.empty(0)

    # -- recording -------------------------------------------------------------------------------------------

    def record(self, recorder: Recorder) -> Tensor:
        """Make the step and record it.

        Raises:
            RuntimeError: the device cannot; unless ``begun``, nothing was carried out.
        """
        oracle, rule = self.oracle, self.rule
        self.memory.load()
        before, counted, state = _memory(rule), astuple(oracle.counters), _state(rule.base)
        self._mark, self._make = torch.zeros((), device=oracle.device), recorder.recordings(self.memory.generator)
        self._base_step, self._hooks = rule.base.step, len(rule.base._optimizer_step_pre_hooks)
        self._elsewhere, self._streams = [0.0] * len(counted), 0
        self._given: Any = None
        oracle.draws = False
        self._open = self._begin()
        noted = Noted(self.moving, self._operation_apart) if self.looks else None
        closure: Any = Asked(oracle, noted) if noted else oracle
        try:
            with noted or nullcontext(), _asking(rule, noted, self._step_of_base, self._noise, self._gradient):
                loss: Any = rule.step(closure)
                self.loss = loss
                if noted:
                    noted.ask("end", lambda: None, [self.loss, *_memory(rule).values()])
                    self.operations, self._copies = noted.operations, noted.copies is not None and noted.copies.seen
            self._keep_in_place(before)
            self._end()
        except BaseException:
            with suppress(RuntimeError):
                self._open.stop()
            if not self.begun:
                _put_back(rule.own, before)
            raise
        finally:
            oracle.draws = True
        if _state(rule.base) != state:
            self.why = "its base optimizer replaces its state"
        if self._given is not None and self._given != _numbers(rule):
            self.why = "its rule gives the base optimizer numbers for one step"
        changes = zip(astuple(oracle.counters), counted, self._elsewhere, strict=True)
        self.counted = tuple(now - then - elsewhere for now, then, elsewhere in changes)
        self.after = {name: getattr(oracle, name) for name in AFTER}
        return self.loss

    def _begin(self) -> Recording:
        recording = self._make()
        recording.start()
        self._mark.add_(1)  # a recording of nothing would be an error
        return recording

    def _end(self) -> None:
        self._open.stop()
        self.begun = True
        self.parts.append(self._open.replay)

    def _apart(self, make: Callable[[], Any], again: Callable[[], Any]) -> Any:
        """Make something between two recordings, now and at every replay."""
        self._end()
        found = make()
        self.parts.append(again)
        self._open = self._begin()
        return found

    def _operation_apart(self, at: int, make: Callable[[], Any]) -> Any:
        return self._apart(make, lambda: copy_into(self.operations[at].answer, self._calls[at]()))

    def _step_of_base(self) -> None:
        base, params = self.rule.base, _params(self.rule)
        gradients = [(p, p.grad) for p in params]
        if len(base._optimizer_step_pre_hooks) != self._hooks:
            self.why = "its rule hooks into the step of the base optimizer"

        def again() -> None:
            for p, g in gradients:
                p.grad = g
            base.step()

        self._apart(self._base_step, again)
        self._given = _numbers(self.rule)

    def _noise(self) -> torch.Generator:
        self._streams += 1
        if self._streams > 1:
            self.why = TWICE
        return self.memory.generator

    def _gradient(self, **request: Any) -> Gradient:
        oracle = self.oracle
        vars(oracle)["_asked_for"] = self._asked_for
        try:
            found = StepRule.gradient(self.rule, oracle, **request)
        finally:
            del vars(oracle)["_asked_for"]
        self._evaluations = self.rule._evaluations
        return found

    def _asked_for(self, previous: bool, fresh: int) -> Any:
        if not fresh:
            return type(self.oracle)._asked_for(self.oracle, previous, fresh)
        counted = astuple(self.oracle.counters)
        found = self._apart(lambda: self.memory.fetch(fresh), lambda: self.memory.fetch(fresh))
        for i, (now, then) in enumerate(zip(astuple(self.oracle.counters), counted, strict=True)):
            self._elsewhere[i] += now - then
        return found

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
        self.memory.places = before

    # -- replaying -------------------------------------------------------------------------------------------

    def rehearse(self) -> Rehearsal | None:
        """Make the host part of the step alone, and return what moved in it.

        Returns:
            None where the rule asks for other operations than those that were recorded; the rule is then, as after a
            number that moves for the first time, where it was.
        """
        self.memory.load()
        rule, own, scalars = self.rule, _memory(self.rule), dict(self.rule.scalars)
        groups = [dict(group) for group in rule.param_groups]
        rehearsal = Rehearsal(self.operations, self.moving, self._copies)
        vars(rule)["_evaluations"] = self._evaluations
        asking = _asking(rule, rehearsal, lambda: None, lambda: self.memory.generator, lambda **_: None)
        try:
            with rehearsal, asking, torch.no_grad():
                loss = rule.update(Asked(self.oracle, rehearsal))
                rehearsal.ask("end", lambda: None, [loss, *_memory(rule).values()])
        except OtherOperationsError:
            rehearsal.other = True
        finally:
            vars(rule)["_evaluations"] = None
        if rehearsal.other or rehearsal.moved:
            _put_back(rule.own, own)
            rule.scalars.clear()
            rule.scalars.update(scalars)
            for group, values in zip(rule.param_groups, groups, strict=True):
                group.clear()
                group.update(values)
            return None if rehearsal.other else rehearsal
        for (p, name), there in self.memory.places.items():
            rule.own[p][name] = there
        return rehearsal

    def replay(self, rehearsal: Rehearsal | None = None) -> Tensor:
        """Make the step on the batch that is bound; its loss is overwritten by the next one."""
        if rehearsal is None:
            self.memory.load()
        else:
            self._calls = rehearsal.calls
            for scalar, number in rehearsal.numbers:
                scalar.fill_(number)
        with torch.no_grad():
            for part in self.parts:
                part()
        self.replayed += 1
        vars(self.rule)["steps"] += 1
        for name, value in self.after.items():
            setattr(self.oracle, name, value)
        counters = self.oracle.counters
        for one, more in zip(fields(RunningCounters), self.counted, strict=True):
            setattr(counters, one.name, getattr(counters, one.name) + more)
        return self.loss


@contextmanager
def _asking(
    rule: StepRule,
    operations: Noted | Rehearsal | None,
    step_of_base: Callable[[], None],
    noise: Callable[[], torch.Generator],
    gradient: Callable[..., Any],
) -> Iterator[None]:
    """Let what a rule asks of others come by here, inside the block."""

    def base_asked() -> None:
        if operations is None:
            step_of_base()
        else:
            operations.ask("step of the base optimizer", step_of_base, [p.grad for p in _params(rule)])

    def gradient_asked(closure: Any, **request: Any) -> Gradient:
        if operations is None:
            return gradient(**request)
        kept = operations.ask("gradient", lambda: gradient(**request), request)
        return Gradient(kept.loss, list(kept.params), list(kept.values))  # for the rule to change

    vars(rule.base)["step"] = base_asked
    vars(rule).update(noise=noise, gradient=gradient_asked)
    try:
        yield
    finally:
        del vars(rule.base)["step"], vars(rule)["noise"], vars(rule)["gradient"]


def _params(rule: StepRule) -> list[Tensor]:
    return [p for group in rule.param_groups for p in group["params"]]


def _numbers(rule: StepRule) -> list[dict[str, Any]]:
    return [{name: value for name, value in group.items() if name != "params"} for group in rule.param_groups]


def _memory(rule: StepRule) -> dict[tuple[Tensor, str], Tensor]:
    return {(p, name): tensor for p, tensors in rule.own.items() for name, tensor in tensors.items()}


def _put_back(own: dict[Tensor, dict[str, Tensor]], memory: dict[tuple[Tensor, str], Tensor]) -> None:
    own.clear()
    for (p, name), tensor in memory.items():
        own.setdefault(p, {})[name] = tensor


def _state(base: torch.optim.Optimizer) -> list[int]:
    """Return where the base optimizer's state lies."""
    return [v.data_ptr() for state in base.state.values() for v in state.values() if isinstance(v, Tensor) and v.ndim]


def _tensors(batch: Batch) -> list[Tensor]:
    weights = [] if batch.weights is None else [batch.weights]
    return [batch.images, batch.labels, batch.ids, *weights, *(batch.targets or ())]


def shape_of(batch: Any) -> Hashable:
    """Return what has to be the same of two batches for one recording to do for both."""
    return batch.weights is None, batch.targets is None, *((t.shape, t.dtype, t.stride()) for t in _tensors(batch))


def _copy(batch: Batch) -> Batch:
    """Return a batch of the same strides in memory of its own."""
    images, labels, ids, *rest = [t.clone(memory_format=torch.preserve_format) for t in _tensors(batch)]
    weights = None if batch.weights is None else rest.pop(0)
    return Batch(images, labels, ids, weights, None if batch.targets is None else tuple(rest))


def _fill(there: Batch, given: Batch) -> Batch:
    """Copy a batch to where recordings find it."""
    if given is not there:
        for mine, theirs in zip(_tensors(there), _tensors(given), strict=True):
            mine.copy_(theirs)
    return there
