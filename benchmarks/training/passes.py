"""The passes of a step: forward and backward over a batch, part of it or another one, on one device or several."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from ...errors import ConfigError
from ...seeding import derive_seed
from ...variants import global_norm
from ...variants._evaluation import forget_casts
from ...variants._shards import in_shards
from ...variants.hooks import LossHook
from ..device import generator_of
from ..distributed.process_group import SINGLE_PROCESS, ProcessGroup
from ..distributed.sync_batch_norm import SynchronizedBatchNorm
from ..precision import LossScale, autocast
from .batch import FirstPasses, Samples, wide
from .batch_norm import Copy, RunningStatistics
from .meters import RunningCounters
from .pytree import count_samples
from .step_losses import Seen

_seed_of_step = lru_cache(maxsize=2)(derive_seed)
"""All passes of a step have one."""


class Passes:
    """What evaluates losses and gradients of the batch of a step, and counts it.

    The arguments, and what follows from them, are those of :class:`.oracle.Oracle`, which says what the batch is.
    """

    batch: Any
    """What this device passes over of the batch of the step, ``bound``."""
    bound: Any
    passes: int
    """Those made in this step."""
    first: FirstPasses
    at_start: Copy | None
    """Running statistics at the start of the step, where its last pass moves them."""
    gradient_norms: list[Tensor] | None
    """Norm of the gradient of each pass of the last step, 0-d tensors; None where they are not taken."""
    step = 0
    differentiates = True
    """That the loss which is returned, detached, is one that a backward pass was made of."""
    draws = True
    """Whether a pass may draw from the device's generator; False while a step that does not is recorded."""
    _hook: LossHook | None

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        logits: Callable[[Any, Any], Tensor] | None,
        *,
        seed: int,
        precision: str,
        bn_update: str,
        weight_decay: float,
        accumulate: int,
        process_group: ProcessGroup,
        whole: bool,
    ):
        self.model, self.seed = model, seed
        self._loss, self._outputs = loss, logits
        self.process_group = self.devices = process_group
        self.whole, self.apart = whole, not whole
        self.ddp: DistributedDataParallel | None = None
        if isinstance(wrapper := getattr(model, "_orig_mod", model), DistributedDataParallel):  # perhaps compiled
            self._wrapped(wrapper, precision)
        self.params = list(model.parameters())
        if in_shards(self.params):
            self._exchanged_by_model("a model of fully_shard")
        self.device = self.params[0].device
        self.precision, self.bn_update = precision, bn_update
        self.weight_decay, self.accumulate = weight_decay, accumulate
        self.statistics = RunningStatistics(model)
        self.scale = LossScale(precision == "fp16")
        self.counters = RunningCounters()
        self.batch_share = 1.0
        """What a pass over the bound batch counts as: its size over the size that evaluations are counted in."""
        self._seen: Seen = []
        self.at_start = None

    def _wrapped(self, model: DistributedDataParallel, precision: str) -> None:
        """Leave the exchange of gradients to the model's wrapper."""
        if not self.whole and precision == "fp16":
            raise ConfigError(
                "whole=False cannot be combined with precision='fp16': one device would skip a step alone"
            )
        self.ddp, self.whole = model, True
        self._exchanged_by_model("a model in DistributedDataParallel")

    def _exchanged_by_model(self, model: str) -> None:
        if self.process_group.size > 1:
            raise ConfigError(f"give either {model} or process_group=, not both")
        if not self.whole:
            raise ConfigError(f"whole=False cannot be combined with {model}: its weights are perturbed together")
        self.devices = ProcessGroup(dist.get_rank(), dist.get_world_size())

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
        for p in self.params:
            p.grad = None
        asked = self._asked_for(previous, fresh)
        batch = asked if subset is None else asked[subset]
        count, process_group = len(batch), self.process_group if self.whole else SINGLE_PROCESS
        alone = self.accumulate == process_group.size == 1
        losses, outputs, rows = [], [], []
        with self._pass():
            parts = [None] if alone else torch.arange(count, device=self.device).chunk(self.accumulate)
            for part in parts:
                mine = None if part is None else part[process_group.shard(len(part))]
                micro = batch if mine is None or len(mine) == count else batch[mine]
                with self._exchange(last=part is parts[-1]):
                    found = self._forward(micro.images)
                    loss = self._share_of_loss(found, micro, count)
                    if cotangent is None:
                        self.scale.times(loss).backward()
                    else:
                        own = cotangent if mine is None else cotangent[mine]
                        found.backward(self.scale.times(own).to(found.dtype))
                losses.append(loss.detach())
                outputs.append(found.detach())
                rows.append(mine)
        self.outputs = outputs[0] if alone else self._together(outputs, rows, count)
        self._last = batch
        if asked is self.batch and self._outputs is not None:
            self.first.note(self.outputs, subset)
        self.counters.gradient_evaluations += self.batch_share * count / len(asked)
        params = [p for p in self.params if p.grad is not None]
        gradients: list[Tensor] = [p.grad for p in params]  # pyright: ignore[reportAssignmentType]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        process_group.sum_([*gradients, loss])
        if asked is self.batch:
            self._seen.append((subset, self.outputs, loss))
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
        self.counters.forward_evaluations += self.batch_share
        losses = self._losses(self.outputs, self.batch)
        self._seen.append((None, self.outputs, _weighted_mean(losses, self.batch)))
        return losses

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
        self.counters.forward_evaluations += self.batch_share
        return wide(logits)

    def image_gradient(self, images: Tensor, batch: Any) -> Tensor:
        """Return the derivatives of a batch's summed losses by other images of it, (B, ...), each device passing over
        its share; running statistics stay as they are. Costs a gradient evaluation. For loss hooks."""
        process_group = self.process_group if self.whole else SINGLE_PROCESS
        found, rows = list[Tensor](), list[Tensor]()
        with self._same_masks(), self.statistics.frozen(), torch.enable_grad():
            for part in torch.arange(len(images), device=self.device).chunk(self.accumulate):
                mine = part[process_group.shard(len(part))]
                at = images[mine].requires_grad_()
                found += torch.autograd.grad(self._losses(self._forward(at), batch[mine]).sum(), at)
                rows.append(mine)
        self.counters.gradient_evaluations += self.batch_share
        return self._together(found, rows, len(images))

    def cotangent(self) -> Tensor:
        """Return the derivative of the mean loss by the logits of the last pass, (B, ...), in at least float32."""
        with torch.enable_grad():
            logits = wide(self.logits.detach()).requires_grad_()
            (derivative,) = torch.autograd.grad(self._mean_loss(logits, self._last), logits)
        return derivative

    @property
    def logits(self) -> Tensor:
        """Detached outputs of the last pass, (B, ...)."""
        self._check_logits()
        return self.outputs

    # -- inside ----------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """End the step that was begun, made or not."""

    def _asked_for(self, previous: bool, fresh: int) -> Any:
        """Return the batch that a pass is asked for."""
        raise NotImplementedError(f"{type(self).__name__} has no batch")

    def _check_logits(self) -> None:
        if self._outputs is None:
            raise ConfigError(
                "logits are needed, and this oracle sees losses alone: give it logits=lambda model, batch: ... and "
                "loss=lambda logits, batch: ..."
            )

    def _of_all(self, rows: Tensor) -> Tensor:
        """Put together what each device has of the batch; where each has all of it, that is it."""
        if self.whole:
            return rows
        count = len(self.bound)
        found = self.process_group.all_gather_rows(
            rows.long() if rows.dtype == torch.bool else rows, self.process_group.shard(count), count
        )
        return found.to(rows.dtype)

    @contextmanager
    def _pass(self) -> Iterator[None]:
        """Apply the BatchNorm policy and give every pass of a step the same dropout stream."""
        if self.at_start is not None:
            self.statistics.put_back(self.at_start)
        try:
            with self._same_masks(), self.statistics.frozen(self.bn_update == "first" and self.passes > 0):
                yield
        except BaseException:
            self._end()  # this step will not be made
            raise
        self.passes += 1

    @contextmanager
    def _same_masks(self) -> Iterator[None]:
        """Seed the generator that dropout draws from, the one of the model's own device, and that of the CPU, which a
        model may draw from wherever it is; put them back."""
        if not self.draws:
            yield
            return
        rank = [self.devices.rank] if self.devices.size > 1 else []
        drawn_from = generator_of(self.device)
        others = [torch.default_generator] if drawn_from is not torch.default_generator else []
        before = [(one, one.get_state()) for one in (drawn_from, *others)]
        try:
            for one, _ in before:
                one.manual_seed(_seed_of_step("dropout", self.seed, self.step, *rank))
            yield
        finally:
            for one, state in before:
                one.set_state(state)

    def _exchange(self, last: bool) -> AbstractContextManager[Any]:
        """Let the model's wrapper average gradients after the last micro-batch of a synchronized pass alone."""
        if self.ddp is None or (last and not self.apart):
            return nullcontext()
        return self.ddp.no_sync()

    def _forward(self, images: Any) -> Tensor:
        """Return the logits of what the network is given, or its losses where the oracle knows no logits."""
        forget_casts()  # of the weights of another pass
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
        if batch.targets is None or self._hook is None:
            return losses
        return losses + self._hook.term(wide(outputs), batch.targets)

    def _share_of_loss(self, outputs: Tensor, micro: Any, count: int) -> Tensor:
        """Return what some samples add to the mean loss of ``count``."""
        if len(micro) == count > 0:
            return self._mean_loss(outputs, micro)
        if not len(micro):  # a device without samples takes part in the messages, with gradients of zero
            return wide(outputs).sum()
        return self._mean_loss(outputs, micro) * (len(micro) / count)

    def _mean_loss(self, outputs: Tensor, batch: Any) -> Tensor:
        return _weighted_mean(self._losses(outputs, batch), batch)


def _weighted_mean(losses: Tensor, batch: Any) -> Tensor:
    return losses.mean() if batch.weights is None else (losses * batch.weights).mean()


def _one_a_sample(losses: Any, count: int) -> Tensor:
    """Return what a loss function returned, if it is one loss a sample."""
    if isinstance(losses, Tensor) and losses.shape == (count,):
        return losses
    found = f"a tensor of shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else f"a {type(losses).__name__}"
    raise ConfigError(
        f"loss= returned {found} for {count} samples; it returns one loss a sample, ({count},): reduction='none' in "
        "place of a mean, and a mean over what a sample has more than one of (.mean(1) over tokens)"
    )
