"""The gradient oracle: the harness's closure, which owns everything that a step of several passes gets wrong."""

import contextlib
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ConfigError
from ...seeding import derive_seed
from ...variants.averages import WeightAverage
from ...variants.hooks import LossHook
from ..distributed.process_group import SINGLE_PROCESS, ProcessGroup
from ..distributed.sync_batch_norm import SynchronizedBatchNorm
from ..precision import LossScale, autocast
from .batch import Batch, FirstPasses, sample_scores, wide
from .batch_norm import RunningStatistics
from .meters import RunningCounters


class Oracle:
    """Evaluates losses and gradients of one batch at a time, and counts them.

    Called plainly it is an ordinary closure. It implements :class:`sambench.variants.GradientOracle`.

    - BatchNorm moves its running statistics in one pass of a step: the first (``bn_update="first"``), the last, or all.
    - Every pass of a step draws the same dropout masks: they are evaluations of one function.
    - ``fp16`` scales and unscales every pass by itself.
    - ``weight_decay`` here is part of every gradient, as when it stands in the loss; the base optimizer then has none.
    - ``accumulate=k`` splits every pass into k micro-batches whose gradients sum to that of the whole batch.
    - Several devices split every pass, whatever part of the batch it is of, and each then has the gradient, the loss
      and the logits of the whole: to the variant there is one batch and one device. Gradients travel in one message
      after the pass rather than in ``DistributedDataParallel``, which takes the place of the model, wants one backward
      for each forward over all parameters, and hides the time of the messages behind the backward pass in exchange.
      With ``whole=False`` each device instead passes over its own share of the batch and nothing is shared; whoever
      makes the step then averages what comes of it (``StepRule.average``).
    - A loss hook adds its term in every pass, and learns from a step that was made; a weight average follows it.

    Args:
        model: in training mode, on its device.
        seed: of dropout. Devices drop units independently, so a model with dropout is the only one whose run on several
            devices is not, to rounding, the run on one.
        process_group: the processes that train the run together.
        whole: whether the passes of a step are over the whole batch.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        seed: int = 0,
        label_smoothing: float = 0.0,
        precision: str = "fp32",
        bn_update: str = "first",
        weight_decay: float = 0.0,
        accumulate: int = 1,
        process_group: ProcessGroup = SINGLE_PROCESS,
        whole: bool = True,
    ):
        self.model, self.seed = model, seed
        self.process_group, self.whole = process_group, whole
        self.params = [p for p in model.parameters() if p.requires_grad]
        self.device = next(model.parameters()).device
        self.label_smoothing, self.precision, self.bn_update = label_smoothing, precision, bn_update
        self.weight_decay, self.accumulate = weight_decay, accumulate
        self.statistics = RunningStatistics(model)
        self.scale = LossScale(precision == "fp16")
        self.counters = RunningCounters()
        self.epoch = self.step = 0
        self.total_steps = 1
        self.attach(LossHook(model, torch.empty(0), 0, {}), WeightAverage(model, {}))
        self.before: Batch | None = None
        self._more: Callable[[int], Batch] | None = None

    # -- the harness's side ----------------------------------------------------------------------------------

    def attach(self, hook: LossHook, average: WeightAverage, *, remember: bool = False) -> None:
        """Give it the plug-ins of the run, and say whether the rule asks for the batch of the step before."""
        self.hook, self.average, self.remembers = hook, average, remember

    def bind(self, batch: Batch, *, epoch: int, step: int, more: Callable[[int], Batch] | None = None) -> None:
        """Start a step on this batch, that of all devices; ``more`` returns others, by number 1, 2, ..."""
        self.counters.samples += len(batch)
        self.epoch, self.step, self._more = epoch, step, more
        self.bound, self.batch = batch, self._own(batch)
        self.passes = 0
        self.first = FirstPasses(len(self.batch))
        self.at_start = self.statistics.copy() if self.bn_update == "last" else []

    def finish_step(self) -> None:
        """Close a step that was made: now its plug-ins may learn from it."""
        self.scale.step_done(overflowed=False)
        if not self.whole:
            self.process_group.mean_([b for b in self.statistics.buffers if b.is_floating_point()])
        if self.hook.name != "none":
            logits, seen = (self._of_all(rows) for rows in self.first.result(self.logits))
            self.hook.observe(self, self.bound, logits, seen)
        self.average.update(self.step + 1)
        if self.remembers:
            self.before = self.batch

    def skip_step(self) -> None:
        """Close a step that was given up because a gradient overflowed; what it cost stays counted."""
        self.counters.skipped_steps += 1
        self.scale.step_done(overflowed=True)
        self.average.update(self.step + 1)

    # -- the variant's side ----------------------------------------------------------------------------------

    @property
    def ids(self) -> Tensor:
        """Identities of the batch's samples, int64 (B,)."""
        return self.batch.ids

    @property
    def previous(self) -> bool:
        """Whether there is a batch of the step before; without one ``previous=True`` means the present batch."""
        return self.before is not None

    @property
    def fresh(self) -> bool:
        """Whether further batches can be asked for."""
        return self._more is not None

    def __call__(
        self,
        *,
        subset: Tensor | None = None,
        cotangent: Tensor | None = None,
        previous: bool = False,
        fresh: int = 0,
    ) -> Tensor:
        """Zero the gradients, run forward and backward, return the mean loss; see ``GradientOracle``."""
        self.model.zero_grad(set_to_none=True)
        asked = self._asked_for(previous, fresh)
        batch = asked if subset is None else asked[subset]
        count, process_group = len(batch), self.process_group if self.whole else SINGLE_PROCESS
        losses, logits, rows = [], [], []
        with self._pass():
            for part in torch.arange(count, device=self.device).chunk(self.accumulate):
                mine = part[process_group.shard(len(part))]
                micro = batch if len(mine) == count else batch[mine]
                outputs = self._forward(micro.images)
                # a device without samples takes part in the messages, with gradients of zero
                loss = self._mean_loss(outputs, micro) * (len(mine) / count) if len(mine) else wide(outputs).sum()
                if cotangent is None:
                    (loss * self.scale.scale).backward()
                else:
                    outputs.backward(cotangent[mine].to(outputs.dtype) * self.scale.scale)
                losses.append(loss.detach())
                logits.append(outputs.detach())
                rows.append(mine)
        self.logits = self._together(logits, rows, count)
        self._last = batch
        if asked is self.batch:
            self.first.note(self.logits, subset)
        self.counters.gradient_evaluations += count / len(asked)
        gradients = [p.grad for p in self.params if p.grad is not None]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        process_group.sum_([*gradients, loss])
        self.scale.unscale(gradients)
        if self.weight_decay:
            decayed = [p for p in self.params if p.grad is not None]
            torch._foreach_add_(gradients, [p.detach() for p in decayed], alpha=self.weight_decay)
        return loss

    def losses(self) -> Tensor:
        """Return the per-sample losses (B,) of a forward pass; costs one forward evaluation."""
        self._seed_dropout()
        with torch.no_grad(), self.statistics.frozen():
            self.logits = self.forward(self.batch.images)
        self._last = self.batch
        self.counters.forward_evaluations += 1.0
        return self._losses(self.logits, self.batch)

    def last_losses(self) -> Tensor:
        """Return the losses of the samples of the last pass, from its logits, at no further cost."""
        return self._losses(self.logits, self._last)

    def infer(self, images: Tensor) -> Tensor:
        """Return the logits of images in evaluation mode; costs a forward evaluation. For loss hooks."""
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
        """Return the derivative of the mean loss by the logits of the last pass, (B, classes)."""
        with torch.enable_grad():
            logits = self.logits.detach().requires_grad_()
            (derivative,) = torch.autograd.grad(self._mean_loss(logits, self._last), logits)
        return derivative

    def scores(self, kind: str) -> Tensor:
        """Score the samples of the whole batch by their first pass, at no further cost; NaN for one without."""
        logits, seen = self.first.result(self.logits)
        return self._of_all(sample_scores(kind, logits, self.batch.labels).where(seen, torch.nan))

    # -- inside ----------------------------------------------------------------------------------------------

    def _own(self, batch: Batch) -> Batch:
        """Return what this device passes over of a batch, with what the loss hook compares it with."""
        own = batch if self.whole else batch[self.process_group.shard(len(batch))]
        targets = self.hook.targets(self, own)
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

    def _asked_for(self, previous: bool, fresh: int) -> Batch:
        """Return the batch that a pass is asked for."""
        if previous and self.before is not None:
            return self.before
        if not fresh:
            return self.batch
        if self._more is None:
            raise ConfigError("this oracle has no further batches: give bind() a function that returns them")
        more = self._more(fresh)
        self.counters.samples += len(more)
        return self._own(more)

    @contextlib.contextmanager
    def _pass(self):
        """Apply the BatchNorm policy and give every pass of a step the same dropout stream."""
        if self.bn_update == "last":
            self.statistics.put_back(self.at_start)
        self._seed_dropout()
        with self.statistics.frozen(self.bn_update == "first" and self.passes > 0):
            yield
        self.passes += 1

    def _seed_dropout(self) -> None:
        """Seed the generator that dropout draws from; ``torch.manual_seed`` would queue a call for absent devices."""
        seed = derive_seed(
            "dropout", self.seed, self.step, *([self.process_group.rank] if self.process_group.size > 1 else [])
        )
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)

    def _forward(self, images: Tensor) -> Tensor:
        with autocast(self.precision, self.device):
            if self.process_group.size == 1 or not self.whole:
                return self.model(images)
            with SynchronizedBatchNorm(self.process_group):
                return self.model(images)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images in the model's present mode, each device looking at its share; not counted."""
        every = torch.arange(len(images), device=self.device)
        mine = every[self.process_group.shard(len(every))] if self.whole else every
        part = images if len(mine) == len(every) else images[mine]
        return self._together([self._forward(part)], [mine], len(every))

    def _together(self, logits: list[Tensor], rows: list[Tensor], count: int) -> Tensor:
        """Return the logits of a pass, (count, classes), in the order of its samples."""
        own = logits[0] if len(logits) == 1 else torch.cat(logits)
        return self.process_group.all_gather_rows(own, torch.cat(rows), count) if self.whole else own

    def _losses(self, logits: Tensor, batch: Batch) -> Tensor:
        losses = F.cross_entropy(wide(logits), batch.labels, reduction="none", label_smoothing=self.label_smoothing)
        return losses if batch.targets is None else losses + self.hook.term(wide(logits), batch.targets)

    def _mean_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        if batch.weights is None and batch.targets is None:
            return F.cross_entropy(wide(logits), batch.labels, label_smoothing=self.label_smoothing)
        losses = self._losses(logits, batch)
        return losses.mean() if batch.weights is None else (losses * batch.weights).mean()

    def state_dict(self) -> dict[str, Any]:
        """Counters, loss scale, plug-ins, and the batch of the step before for a rule that asks for it."""
        state: dict[str, Any] = {"counted": asdict(self.counters), "scale": self.scale.state_dict()}
        state |= {kind: one.state_dict() for kind, one in self._plugins().items()}
        return state if self.before is None else {**state, "before": self.before.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.counters = RunningCounters(**state["counted"])
        self.scale.load_state_dict(state["scale"])
        for kind, one in self._plugins().items():
            one.load_state_dict(state[kind])
        self.before = Batch(**state["before"]).to(self.device) if "before" in state else None

    def _plugins(self) -> dict[str, LossHook | WeightAverage]:
        both: dict[str, LossHook | WeightAverage] = {"hook": self.hook, "average": self.average}
        return {kind: one for kind, one in both.items() if one.name != "none"}
