"""The gradient oracle: a closure which owns everything that a step of several passes gets wrong, in anybody's loop."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import cache
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from ...errors import ConfigError, StateError
from ...seeding import derive_seed
from ...variants import StepRule, global_norm
from ...variants.averages import WeightAverage
from ...variants.hooks import LossHook
from ..distributed.process_group import SINGLE_PROCESS, ProcessGroup
from ..distributed.sync_batch_norm import SynchronizedBatchNorm
from ..precision import PRECISIONS, GradientOverflow, LossScale, autocast
from .batch import Batch, FirstPasses, Samples, wide
from .batch_norm import POLICIES, RunningStatistics
from .meters import RunningCounters
from .pytree import count_samples, map_tensors


class Oracle:
    """Evaluates losses and gradients of one batch at a time, and counts them.

    Called plainly it is an ordinary closure. It implements :class:`sambench.variants.GradientOracle`, so that every
    variant runs through it::

        oracle = Oracle(model, loss=lambda model, batch: F.cross_entropy(model(batch[0]), batch[1], reduction="none"))
        for batch in loader:
            loss = optimizer.step(oracle.bind(batch))

    - BatchNorm moves its running statistics in one pass of a step: the first (``bn_update="first"``), the last, or all.
    - Every pass of a step draws the same dropout masks: they are evaluations of one function. The global random stream
      is left where it was.
    - Each pass sees the present weights under autocast, whoever entered it. ``fp16`` scales and unscales every pass by
      itself, and one pass that is not finite skips the whole step.
    - ``weight_decay`` here is part of every gradient, as when it stands in the loss; the base optimizer then has none.
    - ``accumulate=k`` splits every pass into k micro-batches whose gradients sum to that of the whole batch.
    - ``clip`` shortens the gradient that the base optimizer is given, and no other.
    - Several devices: a model in ``DistributedDataParallel`` averages the gradients of every pass, each process binding
      its own part of the batch. With ``whole=False`` passes are not synchronized: each process perturbs by its own
      part, and the rule averages what it descends by (``optimizer.mean_over_devices = oracle.mean_over_devices``).
      With ``process_group``, every process binds the whole batch and every pass is split, whatever part of the batch it
      is of; each then has the gradient, the loss and the logits of the whole: to the variant there is one batch and
      one device. Gradients travel in one message after the pass.
    - A loss hook adds its term in every pass, and learns from a step that was made; a weight average follows it.

    A step begins with :meth:`bind` and is closed by whatever comes next: the next ``bind``, or a look at
    :attr:`average` or :meth:`state_dict`.

    Args:
        model: in training mode, on its device.
        loss: ``loss(model, batch)`` returns the losses of the samples, (B,): no mean, since a variant may look at some
            of the samples only. With ``logits`` it is ``loss(logits, batch)``, with logits in at least float32.
        logits: ``logits(model, batch)`` returns the outputs (B, ...) that the loss is of, for variants and loss hooks
            that look at them; it runs under autocast, and the loss outside.
        seed: of dropout. Devices drop units independently, so a model with dropout is the only one whose run on several
            devices is not, to rounding, the run on one.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"``, of the forward passes.
        bn_update: pass that moves running statistics: ``"first"``, ``"last"`` or ``"all"``.
        weight_decay: factor on the weights that is added to every gradient.
        accumulate: micro-batches of a pass.
        clip: largest norm of the final gradient.
        total_steps: of the whole run, for variants that follow its progress.
        hook: loss hook, for variants that need one (:func:`~sambench.variants.create_hook`).
        average: weight average, for variants that need one (:func:`~sambench.variants.create_average`).
        gradient_norms: whether to take the norm of every pass's gradient.
        process_group: the processes that split every pass between them.
        whole: whether the passes of a step are over the whole batch of all processes.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        loss: Callable[[Any, Any], Tensor],
        logits: Callable[[Any, Any], Tensor] | None = None,
        seed: int = 0,
        precision: str = "fp32",
        bn_update: str = "first",
        weight_decay: float = 0.0,
        accumulate: int = 1,
        clip: float | None = None,
        total_steps: int | None = None,
        hook: LossHook | None = None,
        average: WeightAverage | None = None,
        gradient_norms: bool = True,
        process_group: ProcessGroup = SINGLE_PROCESS,
        whole: bool = True,
    ):
        _check(precision, bn_update, accumulate, clip)
        self.model, self.seed = model, seed
        self._loss, self._outputs = loss, logits
        self.process_group = self.devices = process_group
        self.whole, self.apart = whole, not whole
        self.ddp: DistributedDataParallel | None = None
        if isinstance(wrapper := getattr(model, "_orig_mod", model), DistributedDataParallel):  # perhaps compiled
            self._wrapped(wrapper, precision)
        self.params = list(model.parameters())
        if any(hasattr(p, "device_mesh") for p in self.params):
            raise ConfigError("a model of sharded parameters (fully_shard) takes a plain closure, not this oracle")
        self.device = self.params[0].device
        self.precision, self.bn_update = precision, bn_update
        self.weight_decay, self.accumulate, self.clip = weight_decay, accumulate, clip
        self.statistics = RunningStatistics(model)
        self.scale = LossScale(precision == "fp16")
        self.counters = RunningCounters()
        self.gradient_norms: list[Tensor] | None = [] if gradient_norms else None
        """Norm of the gradient of each pass of the last step, 0-d tensors; None where they are not taken."""
        self.step = self._next_step = 0
        self._epoch: int | None = None
        self._total_steps = total_steps
        self.attach(hook, average)
        self.before: Samples | Batch | None = None
        self._more: Callable[[int], Any] | None = None
        self._open, self._seen = False, []

    def _wrapped(self, model: DistributedDataParallel, precision: str) -> None:
        """Leave the exchange of gradients to the model's wrapper."""
        if self.process_group.size > 1:
            raise ConfigError("give either a model in DistributedDataParallel or process_group=, not both")
        if not self.whole and precision == "fp16":
            raise ConfigError(
                "whole=False cannot be combined with precision='fp16': one device would skip a step alone"
            )
        self.ddp, self.whole = model, True
        self.devices = ProcessGroup(dist.get_rank(), dist.get_world_size())

    # -- the caller's side -----------------------------------------------------------------------------------

    def attach(self, hook: LossHook | None, average: WeightAverage | None, *, remember: bool = False) -> None:
        """Give it the plug-ins of the run, and say whether the rule asks for the batch of the step before.

        Raises:
            ConfigError: a loss hook, and no logits for it.
        """
        if hook is not None and self._outputs is None:
            raise ConfigError(f"loss hook {hook.name!r} looks at logits: give logits=, and a loss of them")
        self._hook, self._average, self.remembers = hook, average, remember

    def bind(
        self,
        batch: Any,
        *,
        ids: Tensor | None = None,
        weights: Tensor | None = None,
        more: Callable[[int], Any] | None = None,
        epoch: int | None = None,
        step: int | None = None,
    ) -> Self:
        """Start a step on this batch, and return the closure of the step.

        Args:
            batch: tensors with the samples first, in tuples, lists, dicts or dataclasses; what is elsewhere is moved
                to the model's device.
            ids: identities of the samples in the data set, int64 (B,), for loss hooks that remember samples.
            weights: of the samples in the loss, (B,), as importance sampling gives them.
            more: returns further batches, by number 1, 2, ..., for variants that ask for fresh ones.
            epoch: epochs completed, for loss hooks that count them.
            step: steps completed; by default those that were bound here.
        """
        self._close()
        samples = self._moved(Samples(batch, ids, weights))
        self._start(samples, epoch, self._next_step if step is None else step, more)
        return self

    def _moved(self, samples: Samples) -> Samples:
        return map_tensors(lambda t: t.to(self.device, non_blocking=True), samples)

    def _start(self, batch: Any, epoch: int | None, step: int, more: Callable[[int], Any] | None) -> None:
        self.counters.samples += len(batch)
        self._epoch, self.step, self._more = epoch, step, more
        self.bound, self.batch = batch, self._own(batch)
        self.passes = 0
        self._open, self._overflowed, self._averaged = True, False, False
        self._clipping = self.clip is not None
        if self._clipping:
            _watch_optimizers()
            _CLIPPING.add(self)
        self._seen: list[tuple[Tensor | None, Tensor]] = []
        if self.gradient_norms is not None:
            self.gradient_norms = []
        self.first = FirstPasses(len(self.batch))
        self.at_start = self.statistics.copy() if self.bn_update == "last" else []

    def finish_step(self) -> None:
        """Close a step that was made: now its plug-ins may learn from it."""
        self._open, self._next_step = False, self.step + 1
        self.scale.step_done(overflowed=False)
        if self.apart:
            self.devices.mean_([b for b in self.statistics.buffers if b.is_floating_point()])
        if self._hook is not None and self._hook.name != "none":
            logits, seen = (self._of_all(rows) for rows in self.first.result(self.logits))
            self._hook.observe(self, self.bound, logits, seen)
        if self._average is not None:
            self._average.update(self.step + 1)
        if self.remembers:
            self.before = self.batch

    def skip_step(self) -> None:
        """Close a step that was given up because a gradient overflowed; what it cost stays counted."""
        self._open, self._next_step = False, self.step + 1
        self.counters.skipped_steps += 1
        self.scale.step_done(overflowed=True)
        if self._average is not None:
            self._average.update(self.step + 1)

    def _close(self) -> None:
        """Close the step that is over, if there is one."""
        if not self._open or not self.passes:
            return
        if self._overflowed:
            self.skip_step()
            return
        if self.apart and not self._averaged:
            raise StateError(
                "with whole=False the devices drift apart unless the rule averages what it descends by: set "
                "optimizer.mean_over_devices = oracle.mean_over_devices"
            )
        self.finish_step()

    def mean_over_devices(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their means over the processes: what ``StepRule.mean_over_devices`` is set to."""
        self._averaged = True
        self.devices.mean_(tensors)

    @property
    def unperturbed_loss(self) -> Tensor | None:
        """Mean loss of the samples at their first pass in the last step; nothing is evaluated for it.

        The first pass of a step is at the unperturbed weights for every variant but ``bsam`` (noise) and ``sampa`` (a
        step ahead). None before any pass.
        """
        return self._losses_of_step()[0]

    @property
    def perturbed_loss(self) -> Tensor | None:
        """Mean loss at their last pass of the samples that had more than one; None after a step of one pass."""
        return self._losses_of_step()[1]

    @property
    def sam_gap(self) -> Tensor | None:
        """Mean rise of the loss from the first to the last pass of the samples that had both; None where none had."""
        return self._losses_of_step()[2]

    # -- the variant's side ----------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Epochs completed before this one."""
        if self._epoch is None:
            raise ConfigError("the epoch is needed and was not told: bind(batch, epoch=...), counted from 0")
        return self._epoch

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        if self._total_steps is None:
            raise ConfigError(
                "the number of steps of the whole run is needed and was not told: give the oracle "
                "total_steps=epochs * len(loader)"
            )
        return self._total_steps

    @total_steps.setter
    def total_steps(self, count: int) -> None:
        self._total_steps = count

    @property
    def hook(self) -> LossHook:
        """The loss hook whose term is part of every loss."""
        if self._hook is None:
            raise ConfigError(
                "a loss hook is needed and was not given: give the oracle hook=create_hook(name, model, ids=..., "
                "classes=...), and logits="
            )
        return self._hook

    @property
    def average(self) -> WeightAverage:
        """The weight average that follows the run; it has taken in every step that was made."""
        if self._average is None:
            raise ConfigError(
                "a weight average is needed and was not given: give the oracle average=create_average(name, model, ...)"
            )
        self._close()
        return self._average

    @property
    def ids(self) -> Tensor:
        """Identities of the batch's samples, int64 (B,); their positions in it where they were not told."""
        if isinstance(self.batch, Samples) and self.batch.identities is None:
            return torch.arange(len(self.batch), device=self.device)
        return self.batch.ids

    @property
    def logits(self) -> Tensor:
        """Detached outputs of the last pass, (B, ...)."""
        self._check_logits()
        return self.outputs

    @property
    def previous(self) -> bool:
        """Whether there is a batch of the step before; without one ``previous=True`` means the present batch.

        Who asks is answered from then on: batches are remembered from the present one on.
        """
        self.remembers = True
        return self.before is not None

    @property
    def fresh(self) -> bool:
        """Whether further batches can be asked for."""
        return self._more is not None

    def __call__(self, **request: Any) -> Tensor | None:
        """Zero the gradients, run forward and backward, return the mean loss; see ``GradientOracle``.

        Returns:
            The loss, or None where a gradient overflowed in fp16: the step is to be skipped.
        """
        try:
            return self.evaluate(**request)
        except GradientOverflow:
            self._overflowed = True
            self.model.zero_grad(set_to_none=True)
            return None

    def evaluate(
        self,
        *,
        subset: Tensor | None = None,
        cotangent: Tensor | None = None,
        previous: bool = False,
        fresh: int = 0,
    ) -> Tensor:
        """Zero the gradients, run forward and backward, return the mean loss; see ``GradientOracle``.

        Raises:
            GradientOverflow: a gradient is not finite, in fp16.
        """
        if cotangent is not None:
            self._check_logits()
        self.model.zero_grad(set_to_none=True)
        asked = self._asked_for(previous, fresh)
        batch = asked if subset is None else asked[subset]
        count, process_group = len(batch), self.process_group if self.whole else SINGLE_PROCESS
        losses, outputs, rows = [], [], []
        with self._pass():
            parts = torch.arange(count, device=self.device).chunk(self.accumulate)
            for part in parts:
                mine = part[process_group.shard(len(part))]
                micro = batch if len(mine) == count else batch[mine]
                with self._exchange(last=part is parts[-1]):
                    found = self._forward(micro.images)
                    # a device without samples takes part in the messages, with gradients of zero
                    loss = self._mean_loss(found, micro) * (len(mine) / count) if len(mine) else wide(found).sum()
                    if cotangent is None:
                        (loss * self.scale.scale).backward()
                    else:
                        found.backward(cotangent[mine].to(found.dtype) * self.scale.scale)
                losses.append(loss.detach())
                outputs.append(found.detach())
                rows.append(mine)
        self.outputs = self._together(outputs, rows, count)
        self._last = batch
        if asked is self.batch:
            self._seen.append((subset, self.outputs))
            if self._outputs is not None:
                self.first.note(self.outputs, subset)
        self.counters.gradient_evaluations += count / len(asked)
        params = [p for p in self.params if p.grad is not None]
        gradients: list[Tensor] = [p.grad for p in params]  # pyright: ignore[reportAssignmentType]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        process_group.sum_([*gradients, loss])
        self.scale.unscale(gradients)
        if self.weight_decay:
            torch._foreach_add_(gradients, [p.detach() for p in params], alpha=self.weight_decay)
        if self.gradient_norms is not None:
            self.gradient_norms.append(global_norm(gradients))
        return loss

    def losses(self) -> Tensor:
        """Return the per-sample losses (B,) of a forward pass; costs one forward evaluation."""
        with self._same_masks(), torch.no_grad(), self.statistics.frozen():
            self.outputs = self.forward(self.batch.images)
        self._last = self.batch
        self._seen.append((None, self.outputs))
        self.counters.forward_evaluations += 1.0
        return self._losses(self.outputs, self.batch)

    def last_losses(self) -> Tensor:
        """Return the losses of the samples of the last pass, from its outputs, at no further cost."""
        return self._losses(self.outputs, self._last)

    def infer(self, images: Any) -> Tensor:
        """Return the logits of a batch in evaluation mode; costs a forward evaluation. For loss hooks."""
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                logits = self.forward(images)
        finally:
            self.model.train(training)
        self.counters.forward_evaluations += 1.0
        return wide(logits)

    def cotangent(self) -> Tensor:
        """Return the derivative of the mean loss by the logits of the last pass, (B, ...)."""
        with torch.enable_grad():
            logits = self.logits.detach().requires_grad_()
            (derivative,) = torch.autograd.grad(self._mean_loss(logits, self._last), logits)
        return derivative

    # -- inside ----------------------------------------------------------------------------------------------

    def _check_logits(self) -> None:
        if self._outputs is None:
            raise ConfigError(
                "logits are needed, and this oracle sees losses alone: give it logits=lambda model, batch: ... and "
                "loss=lambda logits, batch: ..."
            )

    def _own(self, batch: Any) -> Any:
        """Return what this device passes over of a batch, with what the loss hook compares it with."""
        own = batch if self.whole else batch[self.process_group.shard(len(batch))]
        targets = None if self._hook is None else self._hook.targets(self, own)
        return own if targets is None else replace(own, targets=targets)

    def _of_all(self, rows: Tensor) -> Tensor:
        """Put together what each device has of the batch; where each has all of it, that is it."""
        if self.whole:
            return rows
        count = len(self.bound)
        found = self.process_group.all_gather_rows(
            rows.long() if rows.dtype == torch.bool else rows, self.process_group.shard(count), count
        )
        return found.to(rows.dtype)

    def _asked_for(self, previous: bool, fresh: int) -> Any:
        """Return the batch that a pass is asked for."""
        if previous and self.before is not None:
            return self.before
        if not fresh:
            return self.batch
        if self._more is None:
            raise ConfigError("this oracle has no further batches: give bind() a function that returns them, more=")
        more = self._more(fresh)
        if isinstance(self.batch, Samples):
            more = self._moved(Samples(more))
        self.counters.samples += len(more)
        return self._own(more)

    @contextmanager
    def _pass(self) -> Iterator[None]:
        """Apply the BatchNorm policy and give every pass of a step the same dropout stream."""
        if self.bn_update == "last":
            self.statistics.put_back(self.at_start)
        try:
            with self._same_masks(), self.statistics.frozen(self.bn_update == "first" and self.passes > 0):
                yield
        except BaseException:
            self._open = False  # this step will not be made
            raise
        self.passes += 1

    @contextmanager
    def _same_masks(self) -> Iterator[None]:
        """Seed the generator that dropout draws from, and put it back; ``torch.manual_seed`` would queue a call for
        absent devices."""
        seed = derive_seed("dropout", self.seed, self.step, *([self.devices.rank] if self.devices.size > 1 else []))
        on_gpu = self.device.type == "cuda"
        with torch.random.fork_rng([self.device] if on_gpu else []):
            if on_gpu:
                torch.cuda.manual_seed(seed)
            else:
                torch.default_generator.manual_seed(seed)
            yield

    def _exchange(self, last: bool) -> AbstractContextManager[Any]:
        """Let the model's wrapper average gradients after the last micro-batch of a synchronized pass alone."""
        if self.ddp is None or (last and not self.apart):
            return nullcontext()
        return self.ddp.no_sync()

    def _forward(self, images: Any) -> Tensor:
        """Return the logits of what the network is given, or its losses where the oracle knows no logits."""
        torch.clear_autocast_cache()  # around the step, it would hold the weights of another pass
        alone = self.process_group.size == 1 or not self.whole
        with (
            autocast(self.precision, self.device),
            nullcontext() if alone else SynchronizedBatchNorm(self.process_group),
        ):
            found = (self._outputs or self._loss)(self.model, images)
        if self._outputs is None:
            return _one_a_sample(found, count_samples(images))
        if not isinstance(found, Tensor):
            raise ConfigError(f"logits= returned a {type(found).__name__}; it returns a tensor with the samples first")
        return found

    def forward(self, images: Any) -> Tensor:
        """Return the logits of images in the model's present mode, each device looking at its share; not counted."""
        samples = Samples(images)
        every = torch.arange(len(samples), device=self.device)
        mine = every[self.process_group.shard(len(every))] if self.whole else every
        part = samples if len(mine) == len(every) else samples[mine]
        return self._together([self._forward(part.images)], [mine], len(every))

    def _together(self, outputs: list[Tensor], rows: list[Tensor], count: int) -> Tensor:
        """Return the outputs of a pass, (count, ...), in the order of its samples."""
        own = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return self.process_group.all_gather_rows(own, torch.cat(rows), count) if self.whole else own

    def _losses(self, outputs: Tensor, batch: Any) -> Tensor:
        """Return the losses of samples, (B,), from the outputs of a pass."""
        if self._outputs is None:
            return wide(outputs)
        losses = _one_a_sample(self._loss(wide(outputs), batch.data), len(batch))
        return losses if batch.targets is None else losses + self.hook.term(wide(outputs), batch.targets)

    def _mean_loss(self, outputs: Tensor, batch: Any) -> Tensor:
        losses = self._losses(outputs, batch)
        return losses.mean() if batch.weights is None else (losses * batch.weights).mean()

    @torch.no_grad()
    def _losses_of_step(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the mean loss at the first pass, at the last one, and its rise, from the outputs of the passes."""
        if not self._seen:
            return None, None, None
        count = len(self.batch)
        passes = torch.zeros(count, device=self.device)
        first = last = passes
        for at, outputs in self._seen:
            where = torch.arange(count, device=self.device) if at is None else at
            part = self.batch if at is None else self.batch[at]
            losses = self._losses(outputs, part)
            losses = losses if part.weights is None else losses * part.weights
            last = last.to(losses.dtype).index_copy(0, where, losses)
            first = torch.where(passes > 0, first, last)
            passes = passes.index_add(0, where, torch.ones_like(where, dtype=passes.dtype))
        unperturbed = first[passes > 0].mean()
        if len(self._seen) == 1:
            return unperturbed, None, None
        again = passes > 1
        return unperturbed, last[again].mean(), (last - first)[again].mean()

    def _before_step(self, optimizer: Optimizer, arguments: tuple[Any, ...]) -> None:
        """Clip the gradient that a base optimizer is about to step with, inside a step of this oracle's."""
        if isinstance(optimizer, StepRule):
            return
        if any(one is self for one in arguments):
            raise ConfigError(
                f"clip= acts between the passes and the base step, which {type(optimizer).__name__} does not show: "
                "wrap it (create('sgd', model, base=...)), or clip in the loop"
            )
        if self._clipping and self._open and (params := self._held_by(optimizer)):
            nn.utils.clip_grad_norm_(params, float(self.clip or 0.0))

    def _after_step(self, optimizer: Optimizer) -> None:
        """Leave alone what others do with the parameters after the rule's step."""
        if isinstance(optimizer, StepRule) and self._clipping and self._held_by(optimizer):
            self._clipping = False

    def _held_by(self, optimizer: Optimizer) -> list[nn.Parameter]:
        held = {p for group in optimizer.param_groups for p in group["params"]}
        return [p for p in self.params if p in held]

    def state_dict(self) -> dict[str, Any]:
        """Counters, loss scale, plug-ins, and the batch of the step before for a rule that asks for it."""
        self._close()
        state: dict[str, Any] = {
            "counted": asdict(self.counters),
            "scale": self.scale.state_dict(),
            "next_step": self._next_step,
        }
        state |= {kind: one.state_dict() for kind, one in self._plugins().items()}
        return state if self.before is None else {**state, "before": self.before.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.counters = RunningCounters(**state["counted"])
        self.scale.load_state_dict(state["scale"])
        self._next_step = state.get("next_step", 0)
        for kind, one in self._plugins().items():
            one.load_state_dict(state[kind])
        self.before = self._restored(state["before"]).to(self.device) if "before" in state else None

    def _restored(self, saved: dict[str, Any]) -> Samples | Batch:
        return Samples(**saved)

    def _plugins(self) -> dict[str, LossHook | WeightAverage]:
        both = {"hook": self._hook, "average": self._average}
        return {kind: one for kind, one in both.items() if one is not None and one.name != "none"}


def _check(precision: str, bn_update: str, accumulate: int, clip: float | None) -> None:
    for name, value, valid in (("precision", precision, PRECISIONS), ("bn_update", bn_update, POLICIES)):
        if value not in valid:
            raise ConfigError(f"{name}={value!r} is not valid; choose one of {', '.join(valid)}")
    if accumulate < 1 or accumulate != int(accumulate):
        raise ConfigError(f"accumulate={accumulate!r} is not valid: it is a number of micro-batches, at least 1")
    if clip is not None and not clip > 0:
        raise ConfigError(f"clip={clip!r} is not valid: it is a norm greater than 0, or None")


def _one_a_sample(losses: Any, count: int) -> Tensor:
    """Return what a loss function returned, if it is one loss a sample."""
    if isinstance(losses, Tensor) and losses.shape == (count,):
        return losses
    found = f"a tensor of shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else f"a {type(losses).__name__}"
    raise ConfigError(
        f"loss= returned {found} for {count} samples; it returns one loss a sample, ({count},): reduction='none' in "
        "place of a mean, and a mean over what a sample has more than one of (.mean(1) over tokens)"
    )


_CLIPPING: "weakref.WeakSet[Oracle]" = weakref.WeakSet()
"""The oracles that clip."""


@cache
def _watch_optimizers() -> None:
    """Let the oracles that clip see the base steps inside their own steps.

    An oracle never meets the optimizer that it is handed to, so torch's hooks for all optimizers it is. They stay: the
    end of an oracle, at whatever moment, may not change what torch is iterating over.
    """

    def before(optimizer: Optimizer, arguments: Any, _: Any) -> None:
        for oracle in _CLIPPING:
            oracle._before_step(optimizer, arguments)

    def after(optimizer: Optimizer, *_: Any) -> None:
        for oracle in _CLIPPING:
            oracle._after_step(optimizer)

    register_optimizer_step_pre_hook(before)
    register_optimizer_step_post_hook(after)
