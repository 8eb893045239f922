"""The gradient oracle: a closure which owns everything that a step of several passes gets wrong, in anybody's loop."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from ...errors import ConfigError, StateError
from ...variants._shards import in_shards
from ...variants.averages import WeightAverage
from ...variants.hooks import LossHook
from ..distributed.process_group import SINGLE_PROCESS, ProcessGroup
from ..precision import PRECISIONS, GradientOverflow
from .batch import Batch, FirstPasses, Samples
from .batch_norm import POLICIES, RunningStatistics
from .clipping import FinalClip
from .meters import RunningCounters
from .passes import Passes
from .pytree import map_tensors
from .step_losses import losses_of_step


class Oracle(Passes):
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
    - Several devices: a model in ``DistributedDataParallel`` or of ``fully_shard`` averages the gradients of every
      pass, each process binding its own part of the batch. With ``whole=False`` (DDP) passes are not synchronized: each
      process perturbs by its own part, and the rule averages what it descends by
      (``optimizer.mean_over_devices = oracle.mean_over_devices``).
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
        super().__init__(
            model,
            loss,
            logits,
            seed=seed,
            precision=precision,
            bn_update=bn_update,
            weight_decay=weight_decay,
            accumulate=accumulate,
            process_group=process_group,
            whole=whole,
        )
        self._parts = None if in_shards(self.params) else [*model.parameters(), *model.buffers()]
        self.clipping = None if clip is None else FinalClip(self.params, float(clip))
        self.gradient_norms = [] if gradient_norms else None
        self._next_step = 0
        self._open = False
        self._epoch: int | None = None
        self._total_steps = total_steps
        self.before: Samples | Batch | None = None
        self._more: Callable[[int], Any] | None = None
        self.attach(hook, average)

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
        self._look_at_the_model()
        samples = self._moved(Samples(batch, ids, weights))
        self._start(samples, epoch, self._next_step if step is None else step, more)
        return self

    def _look_at_the_model(self) -> None:
        """Take up parameters and buffers that took the place of others: a new head, ``model.double()``.

        Shards are left alone, whose parameters are others while a wrapper has put them together.
        """
        if self._parts is None:
            return
        parts = [*self.model.parameters(), *self.model.buffers()]
        if len(parts) != len(self._parts) or any(a is not b for a, b in zip(parts, self._parts, strict=True)):
            self._parts, self.params[:] = parts, self.model.parameters()
            self.device, self.statistics = self.params[0].device, RunningStatistics(self.model)

    def _moved(self, samples: Samples) -> Samples:
        return map_tensors(lambda t: t.to(self.device, non_blocking=True), samples)

    def _start(self, batch: Any, epoch: int | None, step: int, more: Callable[[int], Any] | None) -> None:
        self.counters.samples += len(batch)
        self._epoch, self.step, self._more = epoch, step, more
        self.bound, self.batch = batch, self._own(batch)
        self._open, self._overflowed, self._averaged = True, False, False
        if self.clipping is not None:
            self.clipping.start()
        self.forget_passes()
        self.at_start = self.statistics.copy(self.at_start) if self.bn_update == "last" else None

    def forget_passes(self) -> None:
        """Be where no pass of the step was made."""
        self.passes, self._seen = 0, []
        if self.gradient_norms is not None:
            self.gradient_norms = []
        self.first = FirstPasses(len(self.batch))

    def finish_step(self) -> None:
        """Close a step that was made: now its plug-ins may learn from it."""
        self._end()
        self._next_step = self.step + 1
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
        self._end()
        self._next_step = self.step + 1
        self.counters.skipped_steps += 1
        self.scale.step_done(overflowed=True)
        if self._average is not None:
            self._average.update(self.step + 1)

    def abandon_step(self) -> None:
        """Give up a step that is not made, since something raised after a pass; what it cost stays counted."""
        self._end()

    def _end(self) -> None:
        self._open = False
        if self.clipping is not None:
            self.clipping.stop()

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

    def _losses_of_step(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        return losses_of_step(self._seen, self.batch, self._losses) if self._seen else (None, None, None)

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
    def normalization(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation that images were normalized by, for loss hooks that move them."""
        raise ConfigError(
            "a loss hook moves images in [0, 1], and how yours were normalized is not known here: move them before "
            "bind(), or train by `sambench run --hook ...`"
        )

    @property
    def ids(self) -> Tensor:
        """Identities of the batch's samples, int64 (B,); their positions in it where they were not told."""
        if isinstance(self.batch, Samples) and self.batch.identities is None:
            return torch.arange(len(self.batch), device=self.device)
        return self.batch.ids

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
        if not hasattr(self, "bound"):
            raise ConfigError("this oracle has no batch yet: optimizer.step(oracle.bind(batch))")
        try:
            return self.evaluate(**request)
        except GradientOverflow:
            self._overflowed = True
            self.model.zero_grad(set_to_none=True)
            return None

    def _own(self, batch: Any) -> Any:
        """Return what this device passes over of a batch, as the loss hook has it."""
        own = batch if self.whole else batch[self.process_group.shard(len(batch))]
        if self._hook is None:
            return own
        if (images := self._hook.images(self, own)) is not None:
            own = own.looking_at(images)
        targets = self._hook.targets(self, own)
        return own if targets is None else replace(own, targets=targets)

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
