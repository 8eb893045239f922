"""Check 7: an independent transcription of the update rule, in NumPy and float64, agrees for 20 steps to 1e-10.

A transcription is a file ``transcriptions/<name>.py`` beside the variant's own file. It is written from the paper's
formulas, imports nothing of this package, and defines one function:

    def step(w, t, evaluate, descend, hyper, state, extra):
        return the new weights, float64 (d,)

- ``w``: the weights (d,), all parameters in one vector. ``t`` = 0, 1, 2, ...: the steps made before this one.
- ``evaluate(w, samples=None)`` returns (loss, gradient (d,)) of this step's batch at any w, over all samples or over
  those at the given positions. The derivative is written by hand: no automatic differentiation.
- ``descend(w, g)`` returns w after one step of the base optimizer: SGD with momentum 0.9 and weight decay 1e-3.
- ``hyper``: the resolved hyper-parameters. ``state``: a dict of its own, empty at t = 0.
- ``extra``: see :class:`Extra`.

A rule that is evaluated elsewhere than it trains (a weight average) is transcribed by a second function, called after
each step, ``evaluated(w, t, hyper, state, extra)``: the weights (d,) that are evaluated.

The file may define ``SETTINGS``, a list of hyper-parameter dicts to check; without it every combination of switches
and choices and every published setting is checked.
"""

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ....hyper import Value, resolve
from ....seeding import generator
from ....variants import VariantInfo, create
from ....variants.settings import published, settings, spell
from ...training.batch import Batch
from ...training.classification import ClassificationOracle
from ..check import Failed, NotApplicable, check
from .numpy_network import (
    CLASSES,
    DIMENSION,
    INPUTS,
    REGISTRIES,
    SHAPES,
    SLICES,
    Array,
    Network,
    Samples,
    flatten,
    write,
)

TRANSCRIPTIONS = "transcriptions"
"""Folder of the transcriptions, beside the files of the variants."""
STEPS, BATCH, BATCHES = 20, 12, 4
TOLERANCE = 1e-10
PEAK_LR, MOMENTUM, WEIGHT_DECAY, SEED = 0.1, 0.9, 1e-3, 5


def learning_rate(t: int) -> float:
    """The rate at step t: a cosine from PEAK_LR to a tenth of it, so that a rule which reads it is seen to."""
    return PEAK_LR * (0.55 + 0.45 * math.cos(math.pi * t / STEPS))


@dataclass
class Extra:
    """What a rule may look at beside the gradient, at one step."""

    name: str
    samples: Samples
    step: int
    lr: float
    buffer: Array
    """Momentum buffer of the base optimizer as the step begins (d,), zeros at first."""
    other: Callable[[int], Samples]
    """Further batches: -1 is that of the step before (not at step 0), 1, 2, ... are the fresh ones of this step."""
    slices: Mapping[str, slice] = field(default_factory=lambda: SLICES)
    """Where each parameter lies in w."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: SHAPES)
    kinds: Mapping[str, str] = field(default_factory=lambda: REGISTRIES)
    """Class name of the module that owns each parameter."""
    batch: int = BATCH
    steps_per_epoch: int = BATCHES
    total_steps: int = STEPS
    peak_lr: float = PEAK_LR
    momentum: float = MOMENTUM
    weight_decay: float = WEIGHT_DECAY

    @property
    def epoch(self) -> int:
        """Epochs completed before this step."""
        return self.step // BATCHES

    def noise(self) -> torch.Generator:
        """A generator in the state in which the variant gets its own at this step."""
        return generator(f"variant:{self.name}", SEED, self.step)

    @property
    def ids(self) -> NDArray[np.int64]:
        """Identities of the batch's samples (B,); those of an epoch are 0, ..., N-1."""
        return self.batch_ids(self.step)

    @staticmethod
    def batch_ids(step: int) -> NDArray[np.int64]:
        """Identities of the samples of any step's batch (B,)."""
        return np.arange(BATCH) + step % BATCHES * BATCH

    def losses(self, w: Array) -> Array:
        """Per-sample losses (B,) at w."""
        return self.samples.losses(w)

    def logits(self, w: Array) -> Array:
        """Logits (B, classes) at w."""
        return self.samples.logits(w)

    def loss_cotangent(self, w: Array) -> Array:
        """Derivative of the mean loss by the logits at w, (B, classes)."""
        return self.samples.loss_cotangent(w)

    def vjp(self, w: Array, cotangent: Array) -> Array:
        """Back-propagate a cotangent (B, classes) from the logits at w: (d,)."""
        return self.samples.vjp(w, cotangent)


class Momentum:
    """SGD with momentum and weight decay, as a transcription is given it."""

    def __init__(self):
        self.buffer: Array = np.zeros(DIMENSION)
        self.lr = PEAK_LR

    def __call__(self, w: Array, g: Array) -> Array:
        self.buffer = MOMENTUM * self.buffer + (g + WEIGHT_DECAY * w)
        return w - self.lr * self.buffer


def data(weighted: bool) -> list[Samples]:
    """The batches of an epoch; weighted ones carry importance weights of mean 1."""
    rng = np.random.default_rng(20)
    x = rng.standard_normal((BATCHES, BATCH, INPUTS))
    y = rng.integers(0, 3, (BATCHES, BATCH))
    weights = rng.uniform(0.3, 1.7, (BATCHES, BATCH))
    weights /= weights.mean(axis=1, keepdims=True)
    return [Samples(x[i], y[i], weights[i] if weighted else None) for i in range(BATCHES)]


def as_batch(samples: Samples, index: int, weighted: bool) -> Batch:
    """The same batch for the oracle."""
    ids = torch.arange(BATCH) + index * BATCH
    weights = torch.from_numpy(samples.weights) if weighted else None
    return Batch(torch.from_numpy(samples.x), torch.from_numpy(samples.y), ids, weights)


def transcription_path(info: VariantInfo) -> Path | None:
    """Return the file of a variant's transcription, or None when there is none."""
    path = Path(info.source_file()).parent / TRANSCRIPTIONS / f"{info.name}.py"
    return path if path.is_file() else None


def load(path: Path) -> ModuleType:
    """Import a transcription by its path."""
    spec = importlib.util.spec_from_file_location(f"sambench_transcription_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise Failed(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def disagreement(
    info: VariantInfo,
    step: Callable[..., Array],
    setting: Mapping[str, Value],
    steps: int = STEPS,
    evaluated: Callable[..., Array] | None = None,
) -> list[float]:
    """Run variant and transcription side by side: the weights that are trained, and those that are evaluated.

    Returns:
        After each step the largest difference of a weight, in units of max(1, largest weight).
    """
    weighted = info.sampler != "uniform"
    batches = data(weighted)
    model = Network()
    rng = np.random.default_rng(7)
    w = rng.standard_normal(DIMENSION) * 0.5
    w[SLICES["norm.weight"]] += 1.0
    write(model, w)
    of_base = {"lr": PEAK_LR, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY}
    optimizer = create(info.name, model, base="sgd", seed=SEED, **of_base, **dict[str, Any](setting))
    oracle = ClassificationOracle(model)
    oracle.total_steps = steps
    hyper = resolve(repr(info.name), info.hyper, setting)
    oracle.attach_plugins(
        info,
        hyper,
        hook=info.hook,
        average=info.average,
        ids=torch.arange(BATCHES * BATCH),
        classes=CLASSES,
        steps_per_epoch=BATCHES,
    )
    base, state = Momentum(), {}
    found = []
    for t in range(steps):
        samples = batches[t % BATCHES]

        def evaluate(w: Array, samples: NDArray[np.int64] | None = None, of: Samples = samples) -> tuple[float, Array]:
            return (of if samples is None else of.at(np.asarray(samples))).evaluate(w)

        def other(number: int, t: int = t) -> Samples:
            return batches[(t + number) % BATCHES]

        base.lr = learning_rate(t)
        extra = Extra(info.name, samples, t, base.lr, base.buffer.copy(), other, total_steps=steps)
        w = np.asarray(step(w.copy(), t, evaluate, base, dict(hyper), state, extra))
        for group in optimizer.param_groups:
            group["lr"] = base.lr
        oracle.bind(
            as_batch(samples, t % BATCHES, weighted),
            epoch=t // BATCHES,
            step=t,
            more=lambda number, t=t: as_batch(batches[(t + number) % BATCHES], (t + number) % BATCHES, weighted),
        )
        optimizer.step(oracle)
        oracle.finish_step()
        pairs = [(flatten(model), w)]
        if evaluated is not None and oracle.average is not None:
            with oracle.average.applied():
                pairs.append((flatten(model), evaluated(w.copy(), t, dict(hyper), state, extra)))
        found.append(max(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in pairs))
    return found


@check(7, "transcription", f"an independent float64 transcription agrees over {STEPS} steps to {TOLERANCE:g}")
def agrees_with_transcription(info: VariantInfo) -> str:
    path = transcription_path(info)
    if path is None:
        raise NotApplicable(
            f"no transcription {TRANSCRIPTIONS}/{info.name}.py beside {Path(info.source_file()).name}; write its "
            "step() to have the rule checked"
        )
    module = load(path)
    evaluated = getattr(module, "evaluated", None)
    if info.average != "none" and evaluated is None:
        raise Failed(f"{path.name} says nothing about the average: define evaluated(w, t, hyper, state, extra)")
    checked: list[dict[str, Any]] = getattr(module, "SETTINGS", None) or [*settings(info), *published(info)]
    worst = 0.0
    for setting in checked:
        for t, difference in enumerate(disagreement(info, module.step, setting, evaluated=evaluated)):
            if not difference <= TOLERANCE:
                raise Failed(
                    f"at {spell(setting)}, step {t}, a weight differs from the transcription by {difference:.2g}"
                )
            worst = max(worst, difference)
    return f"{len(checked)} settings, {STEPS} steps each, largest difference {worst:.1g}"
