"""The state of a run: everything the loop works on, built from the spec, saved and restored as one."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets import Augmentation, Dataset, take
from ...datasets.samplers import SAMPLERS, Draw
from ...errors import ConfigError, StateError
from ...results.records.fields import Amount, Frozen, Number, Whole
from ...results.records.record import CurvePoint, Evaluated, Initialization, Metrics, pack_bits
from ...variants import StepRule, create
from .. import models
from ..batch_sizes import Timeline, batch_phases
from ..distributed.process_group import SINGLE_PROCESS, ProcessGroup
from ..m_sharpness import check_devices
from ..spec import RunSpec, split_hyper
from .batch import Batch, sample_scores
from .checkpoint import Checkpoints
from .classification import ClassificationOracle
from .evaluation import Measured, measure, predict
from .initialization import Beginning
from .loader import TrainLoader
from .lr_schedule import learning_rate, rho_factor
from .meters import Clock, PeakMemory
from .parts import parts_of
from .step_graph import step_graph
from .weight_averaging import describe_average, evaluated


@dataclass(frozen=True)
class Measurement:
    """What a completed run reports.

    Args:
        metrics: accuracy, loss and calibration on the reported split, and which examples are right.
        evaluated: which average of weights was measured, or None for the last weights.
        weights: sha256 of the measured state of the model.
    """

    metrics: Metrics
    evaluated: Evaluated | None
    weights: str


def state_digest(state: Mapping[str, Tensor]) -> str:
    """sha256 over the state of a model, names and bits: equal exactly when every parameter and buffer is."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class Position(Frozen):
    """The plain values of a saved state."""

    epoch: Whole
    step: Whole
    lr: Number
    curve: tuple[CurvePoint, ...]
    began: Amount
    seconds: Amount
    evaluation_seconds: Amount
    devices: Whole = Field(gt=0)


class TrainState:
    """Model, optimizer, oracle, sampler and position of one run.

    At one seed every variant starts from the same weights and sees the same order and the same augmentations: each
    comes from a stream of its own, seeded by what it is for.

    Args:
        spec: the resolved spec of the run.
        dataset: the whole data set of the run.
        device: device that this process trains on.
        process_group: the processes that train this run together.
        cuda_graph: whether to record steps as CUDA graphs, where that is possible; they have the same bits.
        compiler: backend of ``torch.compile`` for the passes of training; its bits are others. Measurements take the
            model as it is.
        beginning: trained weights that it begins with.

    Raises:
        ConfigError: the spec asks for another number of devices, or this device has no graphs.
    """

    def __init__(
        self,
        spec: RunSpec,
        dataset: Dataset,
        device: torch.device,
        process_group: ProcessGroup = SINGLE_PROCESS,
        cuda_graph: bool = False,
        compiler: str | None = None,
        beginning: Beginning | None = None,
    ):
        check_devices(spec.m, spec.batch_size, process_group.size)
        dataset = Augmentation.parse(spec.augment).prepare(dataset)
        self.spec, self.dataset, self.device, self.process_group = spec, dataset, device, process_group
        self.memory = PeakMemory(device)
        self.parts = parts_of(spec, dataset)
        self.loader = TrainLoader(spec, dataset, self.parts, device)
        self.labels = self.loader.labels
        self.corrupted = (self.parts.train_labels != dataset.train_labels[self.parts.train_ids]).to(device)
        self.model: nn.Module = models.build_for(spec, dataset.shape, len(dataset.classes)).to(device)
        self.initialization: Initialization | None = None
        if beginning is not None:
            self._begin_with(beginning.state)
            self.initialization = beginning.record
        self.optimizer: StepRule = create(
            spec.variant, self.model, base=spec.base, seed=spec.seed, **spec.optimizer_arguments()
        )
        self.compiler = compiler
        self.whole = spec.m is None
        if not self.whole:
            self.optimizer.mean_over_devices = process_group.mean_
        self.oracle = ClassificationOracle(
            self.model,
            seed=spec.seed,
            label_smoothing=spec.label_smoothing,
            precision="fp32" if spec.precision == "tf32" else spec.precision,
            bn_update=spec.bn_update,
            weight_decay=spec.weight_decay if spec.weight_decay_mode == "in_loss" else 0.0,
            accumulate=spec.accumulate,
            clip=spec.clip,
            forward=torch.compile(self.model, dynamic=False, backend=compiler) if compiler else None,
            normalization=(dataset.mean, dataset.std),
            gradient_norms=self.optimizer.info.declared_gradients(spec.hyper) > 1,
            process_group=process_group,
            whole=self.whole,
        )
        phases, policy = batch_phases(spec), SAMPLERS.get(spec.sampler)
        self.samplers = {
            phase.size: policy(len(self.labels), phase.size, spec.seed, spec.drop_last, split_hyper(spec).sampler)
            for phase in phases
        }
        for sampler in self.samplers.values():
            sampler.device = device
        self.sampler = self.samplers[spec.batch_size]
        self.timeline = Timeline(phases, lambda size: self.samplers[size].steps)
        self.oracle.total_steps = self.timeline.start(spec.epochs)
        self.oracle.attach_plugins(
            self.optimizer.info,
            spec.hyper,
            hook=spec.hook,
            average=spec.average,
            ids=self.loader.ids,
            classes=len(dataset.classes),
            steps_per_epoch=self.sampler.steps,
        )
        self.average = self.oracle.average
        self.graph = step_graph(self.optimizer, self.oracle) if cuda_graph else None
        self.began = beginning.began if beginning else time.time()
        self.clock, self.evaluation_clock = Clock(device), Clock(device)
        self.epoch = self.step = 0
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.pass_sums = torch.zeros(4, dtype=torch.float64, device=device)
        """Of the epoch's steps of more than one pass: SAM gap, norms of the first and the last gradient, number."""
        self._one = torch.ones((), device=device)
        self.lr = spec.lr
        self.radii = self._radii() if spec.rho_schedule != "constant" else []
        self.curve: list[CurvePoint] = []

    def _begin_with(self, state: Mapping[str, Tensor]) -> None:
        try:
            self.model.load_state_dict(state)
        except RuntimeError as error:
            channels, size, _ = self.dataset.shape
            raise ConfigError(
                f"init={self.spec.init!r} is not valid: the weights of that run do not fit {self.spec.model!r} with "
                f"norm={self.spec.norm!r} on {channels} x {size} x {size} pixels and {len(self.dataset.classes)} "
                "classes; give the model and the data set of that run"
            ) from error

    # -- the verbs of the loop -------------------------------------------------------------------------------

    def begin_epoch(self, epoch: int) -> None:
        """Draw the epoch's order and its augmentation decisions; the same ones when an epoch is taken up again."""
        self.epoch = epoch
        sampler = self.samplers[self.timeline.size(epoch)]
        if sampler is not self.sampler:
            sampler.load_state_dict(self.sampler.state_dict())
        self.sampler = sampler
        self.oracle.batch_share = sampler.batch_size / self.spec.batch_size
        sampler.begin_epoch(epoch, self.score)
        self.loader.begin_epoch(epoch, sampler.steps, sampler.batch_size, sampler.known())

    def batch(self, draw: Draw, step: int) -> Batch:
        """Gather, augment and normalize the batch of a step of the epoch."""
        return self.loader.batch(draw, step)

    def fresh(self, number: int) -> Batch:
        """Return a further batch of the present step, for a rule that asks for more than one."""
        return self.loader.fresh(self.step, number)

    def make_step(self) -> Tensor:
        """Make the step of the batch that is bound, and return its loss."""
        return self.graph.step() if self.graph else self.optimizer.step(self.oracle)

    def _radii(self) -> list[dict[str, float]]:
        """Return the unscheduled radii of every group: rho, and what may not exceed it."""
        names = [name for name, one in self.optimizer.info.hyper.items() if "rho" in (name, one.share_of)]
        return [{name: group[name] for name in names} for group in self.optimizer.param_groups]

    def set_schedules(self) -> None:
        """Give the optimizer the learning rate of this step, and the radius where it has a schedule."""
        spec = self.spec
        at = self.timeline.position(self.epoch, self.step)
        epoch = self.timeline.steps[0]
        self.lr = learning_rate(
            at,
            spec.epochs * epoch,
            lr=spec.lr,
            schedule=spec.schedule,
            steps_per_epoch=epoch,
            power=spec.power,
            warmup_epochs=spec.warmup_epochs,
            milestones=spec.milestones,
            gamma=spec.gamma,
            unit=spec.schedule_unit,
            shape=self.average.schedule,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        factor = rho_factor(
            at, spec.epochs * epoch, schedule=spec.rho_schedule, steps_per_epoch=epoch, unit=spec.schedule_unit
        )
        for group, radii in zip(self.optimizer.param_groups, self.radii, strict=bool(self.radii)):
            group.update({name: value * factor for name, value in radii.items()})

    def score(self, positions: Tensor, kind: str) -> Tensor:
        """Score training samples by a forward pass, without augmentation; counted as forward evaluations."""
        at = positions.to(self.device)
        self.oracle.counters.forward_evaluations += len(positions) / self.spec.batch_size
        return sample_scores(kind, self.predict(self.loader.images, at), self.labels[at]).cpu()

    def predict(self, images: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the logits (n, classes) of images, or of those at the given places; each device predicts its share."""
        count = len(images if at is None else at)
        mine = self.process_group.shard(count)
        part = images[mine] if at is None else take(images, at[mine])
        logits = predict(self.model, part, self.dataset.mean, self.dataset.std, precision=self.spec.precision)
        return self.process_group.all_gather_rows(logits, mine, count)

    def evaluate(self, part: str) -> Measured:
        """Measure the model as it is on ``"validation"`` or ``"test"``."""
        images, labels = getattr(self.parts, part)
        return measure(self.predict(images), labels)

    def fit_to_labels(self) -> dict[str, float | None]:
        """Return how many of the given labels the model predicts, apart for true and for wrong ones."""
        right = self.predict(self.loader.images).argmax(1) == self.labels
        return {
            f"train_accuracy_{name}": float(right[chosen].double().mean()) if chosen.any() else None
            for name, chosen in (("clean", ~self.corrupted), ("corrupted", self.corrupted))
        }

    @property
    def train_error(self) -> float | None:
        """The share of training samples whose given label the last measured epoch does not predict, where measured."""
        last = self.curve[-1]
        parts = (~self.corrupted, last.train_accuracy_clean), (self.corrupted, last.train_accuracy_corrupted)
        right = [round(int(chosen.sum()) * share) for chosen, share in parts if share is not None]
        return 1 - sum(right) / len(self.labels) if right else None

    def evaluated(self) -> AbstractContextManager[int]:
        """Put into the model what the run evaluates; see :func:`.weight_averaging.evaluated`."""
        passes = (partial(self.oracle.forward, images) for images in self.loader.uniform(self.step))
        return evaluated(self.average, self.model, self.oracle.statistics, passes)

    def final_measurement(self, keep: Callable[[nn.Module], None] = lambda model: None) -> Measurement:
        """Measure what the run evaluates on the split that its protocol reports: once, at the end of training.

        Args:
            keep: called with the model while it has the weights that are measured.
        """
        split = "validation" if self.spec.split == "search" else "test"
        self.evaluation_clock.start()
        with self.evaluated() as passes:
            measured, weights = self.evaluate(split), self.weights_digest()
            keep(self.model)
        self.evaluation_clock.stop()
        self.oracle.counters.forward_evaluations += passes
        metrics = Metrics(
            split=split,
            accuracy=measured.accuracy,
            loss=measured.loss,
            ece=measured.ece,
            count=len(measured.correct),
            correct=pack_bits(measured.correct),
        )
        return Measurement(metrics, describe_average(self.average, passes), weights)

    def as_beginning(self) -> Beginning:
        """Return the weights that it ends with, for a run that begins with them."""
        made = Initialization(
            run_id=self.spec.run_id,
            weights=self.weights_digest(),
            gradient_evaluations=self.oracle.counters.gradient_evaluations,
            train_error=self.train_error,
        )
        return Beginning(self.model.state_dict(), made, self.began)

    def note_overflow(self) -> None:
        """Add the loss of a step that is given up as its gradient overflows; one that is not finite ends the run."""
        if (loss := self.oracle.unperturbed_loss) is not None:
            self.loss_sum += loss

    def note_passes(self) -> None:
        """Add what the passes of a step tell of it, on the device: nothing is evaluated or waited for."""
        norms = self.oracle.gradient_norms or ()
        if len(norms) > 1 and (gap := self.oracle.sam_gap) is not None:
            self.pass_sums += torch.stack([gap, norms[0], norms[-1], self._one])

    def total_loss(self) -> float:
        """Return the sum of the epoch's losses so far, the same on every device; it is waited for."""
        return float(self._total(self.loss_sum))

    def _total(self, sums: Tensor) -> Tensor:
        total = sums.clone()
        if not self.whole:
            self.process_group.mean_([total])
        return total

    def _pass_means(self) -> dict[str, float | None]:
        """Return the means over the epoch's steps of more than one pass; None without one, and beyond all numbers."""
        *sums, steps = self._total(self.pass_sums).tolist()
        means = [total / steps if steps else math.inf for total in sums]
        names = ("sam_gap", "gradient_norm", "perturbed_gradient_norm")
        return {name: mean if math.isfinite(mean) else None for name, mean in zip(names, means, strict=True)}

    def end_epoch(self) -> None:
        """Close the epoch: its mean loss, and a measurement on the held-out part when one is due."""
        seconds = self.clock.stop()
        self.evaluation_clock.start()
        done = self.epoch + 1
        self.process_group.check_same([*self.model.parameters(), *self.model.buffers()], "the weights")
        loss = self.total_loss() / max(1, self.step - self.timeline.start(self.epoch))
        due = done % self.spec.eval_every == 0 or done == self.spec.epochs
        held_out, fit = None, dict[str, float | None]()
        if due and (self.parts.validation is not None or self.spec.measures_fit):
            with self.evaluated():
                held_out = None if self.parts.validation is None else self.evaluate("validation")
                fit = self.fit_to_labels() if self.spec.measures_fit else {}
        self.curve.append(
            CurvePoint(
                epoch=done,
                step=self.step,
                gradient_evaluations=self.oracle.counters.gradient_evaluations,
                seconds=seconds,
                lr=self.lr,
                train_loss=loss,
                validation_loss=held_out.loss if held_out else None,
                validation_accuracy=held_out.accuracy if held_out else None,
                **fit,
                **self._pass_means(),
            )
        )
        self.loss_sum.zero_()
        self.pass_sums.zero_()
        self.epoch = done
        self.evaluation_clock.stop()

    def weights_digest(self) -> str:
        """Return the digest of the model as it is; see :func:`state_digest`."""
        return state_digest(self.model.state_dict())

    # -- saving and restoring --------------------------------------------------------------------------------

    def save(self, checkpoints: Checkpoints) -> None:
        """Write a checkpoint; all processes of the run call this, and one of them writes."""
        state = self.state_dict()
        self.process_group.broadcast_from_main(lambda: checkpoints.save(self.step, state))

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the rest of the run depends on; whole in the main process only."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "oracle": self.oracle.state_dict(),
            "sampler": self.sampler.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "pass_sums": self.pass_sums,
            "lr": self.lr,
            "curve": [point.model_dump() for point in self.curve],
            "began": self.began,
            "seconds": self.clock.seconds,
            "evaluation_seconds": self.evaluation_clock.seconds,
            "devices": self.process_group.size,
            "compiler": self.compiler,
            "initialization": self.initialization and self.initialization.model_dump(),
            "apart": [] if self.whole else self.process_group.gather_objects(self._apart()),
        }

    def _apart(self) -> dict[str, Any]:
        """What devices that evaluate their own shares of a batch do not have in common."""
        variant = dict(self.optimizer.state_dict()["variant"])
        variant["own"] = {i: {key: t.cpu() for key, t in own.items()} for i, own in variant["own"].items()}
        apart = {"variant": variant, "loss_sum": self.loss_sum.cpu(), "pass_sums": self.pass_sums.cpu()}
        before = self.oracle.before
        return apart if before is None else {**apart, "before": before.to(torch.device("cpu")).state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state; what follows has the bits of a run that was never interrupted.

        Raises:
            StateError: it was saved on another number of devices, or by passes that were compiled otherwise.
            Exception: it is no state of this run. The run may have a part of it then, and must not be used.
        """
        at = Position.model_validate({key: state[key] for key in Position.model_fields})
        start = self.timeline.start
        if not start(at.epoch) <= at.step <= start(min(at.epoch + 1, self.spec.epochs)):
            raise ValueError(f"step {at.step} is not in epoch {at.epoch} of {self.spec.epochs}")
        if [point.epoch for point in at.curve] != list(range(1, at.epoch + 1)):
            raise ValueError(f"its curve does not have the {at.epoch} epochs that are done")
        if at.devices != self.process_group.size:
            raise StateError(
                f"run {self.spec.run_id[:12]} was begun on {state['devices']} device(s) and would go on to other bits "
                f"on {self.process_group.size}: finish it with --devices {state['devices']}, or remove its "
                "checkpoints to begin anew"
            )
        if state.get("compiler") != self.compiler:
            raise StateError(
                f"run {self.spec.run_id[:12]} was begun {'with' if state.get('compiler') else 'without'} --compile and "
                "would go on to other bits: finish it as it was begun, or remove its checkpoints to begin anew"
            )
        apart = state["apart"][self.process_group.rank] if state["apart"] else {}
        variant = apart.get("variant", state["optimizer"]["variant"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict({**state["optimizer"], "variant": variant})
        self.oracle.load_state_dict({**state["oracle"], **{k: v for k, v in apart.items() if k == "before"}})
        self.sampler.load_state_dict(state["sampler"])
        self.epoch, self.step, self.lr, self.curve = at.epoch, at.step, at.lr, list(at.curve)
        for name in ("loss_sum", "pass_sums"):
            getattr(self, name).copy_(apart.get(name, state[name]))
        if begun_with := state.get("initialization"):
            self.initialization = Initialization.model_validate(begun_with)
        self.began = at.began
        self.clock.seconds, self.evaluation_clock.seconds = at.seconds, at.evaluation_seconds


Advance = Callable[[TrainState], None]
