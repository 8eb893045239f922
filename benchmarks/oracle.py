"""The gradient oracle: the harness's closure, which owns everything that a step of several passes gets wrong."""

import contextlib
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..seeding import derive_seed
from .batchnorm import RunningStatistics
from .precision import LossScale, autocast
from .synchronized import SynchronizedBatchNorm
from .team import ALONE, Team


@dataclass
class Counted:
    """What was computed so far. One gradient evaluation is one forward and backward over one full batch."""

    gradient_evaluations: float = 0.0
    forward_evaluations: float = 0.0
    samples: int = 0
    skipped_steps: int = 0


@dataclass(frozen=True)
class Batch:
    """One batch on the device: normalized images (B, C, H, W), labels (B,), ids (B,), weights (B,) or None."""

    images: Tensor
    labels: Tensor
    ids: Tensor
    weights: Tensor | None = None


def wide(logits: Tensor) -> Tensor:
    """Return logits in at least float32: losses are never computed in half precision."""
    return logits if logits.dtype == torch.float64 else logits.float()


def sample_scores(kind: str, logits: Tensor, labels: Tensor) -> Tensor:
    r"""Score samples for importance sampling: their loss, or the bound :math:`\|softmax(z) - y\|_2` on their gradient.

    Args:
        kind: ``"loss"`` or ``"grad_norm"``.
        logits: (B, classes).
        labels: int64 (B,).

    Returns:
        float32 (B,).
    """
    logits = wide(logits)
    if kind == "loss":
        return F.cross_entropy(logits, labels, reduction="none")
    return (logits.softmax(1) - F.one_hot(labels, logits.shape[1])).norm(dim=1)


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

    Args:
        model: in training mode, on its device.
        seed: of dropout. Devices drop units independently, so a model with dropout is the only one whose run on several
            devices is not, to rounding, the run on one.
        team: the processes of the run.
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
        team: Team = ALONE,
        whole: bool = True,
    ):
        self.model, self.seed = model, seed
        self.team, self.whole = team, whole
        self.params = [p for p in model.parameters() if p.requires_grad]
        self.device = next(model.parameters()).device
        self.label_smoothing, self.precision, self.bn_update = label_smoothing, precision, bn_update
        self.weight_decay, self.accumulate = weight_decay, accumulate
        self.statistics = RunningStatistics(model)
        self.scale = LossScale(precision == "fp16")
        self.counted = Counted()
        self.epoch = self.step = 0
        self.total_steps = 1

    # -- the harness's side ----------------------------------------------------------------------------------

    def bind(self, batch: Batch, *, epoch: int, step: int) -> None:
        """Start a step on this batch, that of all devices."""
        self.counted.samples += len(batch.labels)
        self.size = len(batch.labels)
        self.batch = batch if self.whole else self._select(batch, self.team.share(self.size))
        self.epoch, self.step = epoch, step
        self.passes = 0
        self.at_start = self.statistics.copy() if self.bn_update == "last" else []

    def finish_step(self) -> None:
        """Close a step that was made."""
        self.scale.step_done(overflowed=False)
        if not self.whole:
            self.team.mean_([b for b in self.statistics.buffers if b.is_floating_point()])

    def skip_step(self) -> None:
        """Close a step that was given up because a gradient overflowed; what it cost stays counted."""
        self.counted.skipped_steps += 1
        self.scale.step_done(overflowed=True)

    # -- the variant's side ----------------------------------------------------------------------------------

    @property
    def ids(self) -> Tensor:
        """Identities of the batch's samples, int64 (B,)."""
        return self.batch.ids

    def __call__(self, *, subset: Tensor | None = None, cotangent: Tensor | None = None) -> Tensor:
        """Zero the gradients, run forward and backward, return the mean loss; see ``GradientOracle``."""
        self.model.zero_grad(set_to_none=True)
        batch = self.batch if subset is None else self._select(self.batch, subset)
        count, team = len(batch.labels), self.team if self.whole else ALONE
        losses, logits, rows = [], [], []
        with self._pass():
            for part in torch.arange(count, device=self.device).chunk(self.accumulate):
                mine = part[team.share(len(part))]
                micro = batch if len(mine) == count else self._select(batch, mine)
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
        self.counted.gradient_evaluations += count / len(self.batch.labels)
        gradients = [p.grad for p in self.params if p.grad is not None]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        team.sum_([*gradients, loss])
        self.scale.unscale(gradients)
        if self.weight_decay:
            decayed = [p for p in self.params if p.grad is not None]
            torch._foreach_add_(gradients, [p.detach() for p in decayed], alpha=self.weight_decay)
        return loss

    def losses(self) -> Tensor:
        """Return the per-sample losses (B,) of a forward pass; costs one forward evaluation."""
        self._seed_dropout()
        every = torch.arange(len(self.batch.labels), device=self.device)
        mine = every[self.team.share(len(every))] if self.whole else every
        part = self.batch if len(mine) == len(every) else self._select(self.batch, mine)
        with torch.no_grad(), self.statistics.frozen():
            self.logits = self._together([self._forward(part.images)], [mine], len(every))
        self._last = self.batch
        self.counted.forward_evaluations += 1.0
        return self._losses(self.logits, self.batch.labels)

    def cotangent(self) -> Tensor:
        """Return the derivative of the mean loss by the logits of the last pass, (B, classes)."""
        with torch.enable_grad():
            logits = self.logits.detach().requires_grad_()
            (derivative,) = torch.autograd.grad(self._mean_loss(logits, self._last), logits)
        return derivative

    def scores(self, kind: str) -> Tensor:
        """Score the samples of the last pass, on whatever device it was made, from its logits, at no further cost."""
        scores = sample_scores(kind, self.logits, self._last.labels)
        return scores if self.whole else self.team.assemble(scores, self.team.share(self.size), self.size)

    # -- inside ----------------------------------------------------------------------------------------------

    @staticmethod
    def _select(batch: Batch, at: Tensor | slice) -> Batch:
        weights = None if batch.weights is None else batch.weights[at]
        return Batch(batch.images[at], batch.labels[at], batch.ids[at], weights)

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
        seed = derive_seed("dropout", self.seed, self.step, *([self.team.rank] if self.team.size > 1 else []))
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)

    def _forward(self, images: Tensor) -> Tensor:
        with autocast(self.precision, self.device):
            if self.team.size == 1 or not self.whole:
                return self.model(images)
            with SynchronizedBatchNorm(self.team):
                return self.model(images)

    def _together(self, logits: list[Tensor], rows: list[Tensor], count: int) -> Tensor:
        """Return the logits of a pass, (count, classes), in the order of its samples."""
        own = logits[0] if len(logits) == 1 else torch.cat(logits)
        return self.team.assemble(own, torch.cat(rows), count) if self.whole else own

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(wide(logits), labels, reduction="none", label_smoothing=self.label_smoothing)

    def _mean_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        if batch.weights is None:
            return F.cross_entropy(wide(logits), batch.labels, label_smoothing=self.label_smoothing)
        return (self._losses(logits, batch.labels) * batch.weights).mean()

    def state_dict(self) -> dict[str, Any]:
        """Counters and loss scale; the rest is set anew each step."""
        return {"counted": asdict(self.counted), "scale": self.scale.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.counted = Counted(**state["counted"])
        self.scale.load_state_dict(state["scale"])
