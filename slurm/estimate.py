"""How long runs take and how much room they need, from the records there are, or from a short measurement."""

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..benchmarks import models
from ..benchmarks.batch_sizes import Timeline, batch_phases
from ..benchmarks.device import torch_threads
from ..benchmarks.precision import autocast, best_precision
from ..benchmarks.spec import RunSpec
from ..datasets import Augmentation, list_datasets, load
from ..datasets.source import Source
from ..datasets.splits import train_ids
from ..reading import parse_toml
from ..results.records.record import RunRecord
from ..variants import get_info
from .plan import Memory

Shape = tuple[int, int, int]
Workload = tuple[str, str, str, int, str, bool, int]
ENOUGH = 20
"""Records of one workload that an estimate rests on, at most."""
ASSUMED_SHARE = 0.25
"""Share of its published peak that a GPU is taken to reach; large networks come near, small ones stay far below."""
LEAST_SECONDS = 0.001
"""Time of a gradient evaluation on a GPU below which no estimate goes: its kernels have to be launched."""
_SAMPLES, _LONG = (2, 16), 0.2
"""Samples of the first, short measurements, and the seconds of one after which no longer one is made."""
_WAIT, _TIMES = 0.5, 5
"""Seconds of a batch that are waited for, and how often the time is taken."""


def workload(spec: RunSpec) -> Workload:
    """Return what the time of a gradient evaluation depends on, the machine aside."""
    resize = Augmentation.parse(spec.augment).resize
    return (spec.dataset, spec.model, spec.norm, spec.batch_size, spec.precision, spec.channels_last, resize)


def train_labels(spec: RunSpec, source: Source | None, data_root: str | None) -> tuple[Shape, int, Tensor]:
    """Return image shape, number of classes and training labels, int64 (N,), of the data set of a run.

    A data set that is known by name to have classes of equal size is not loaded for it: its labels are made up.
    """
    for info in list_datasets():
        if source is not None or info.name != spec.dataset or not info.balanced:
            continue
        if info.shape and info.classes and info.train:
            return info.shape, info.classes, torch.arange(info.train) % info.classes
    dataset = load(source.location if source else spec.dataset, name=spec.dataset, root=data_root)
    return dataset.shape, len(dataset.classes), dataset.train_labels


def train_count(spec: RunSpec, labels: Tensor, classes: int) -> int:
    """Return the training samples of a run, from the labels of the whole training set."""
    return len(train_ids(labels, classes, spec.split, spec.subset, spec.imbalance, spec.seed))


def timeline(spec: RunSpec, count: int) -> Timeline:
    """Return when the epochs of a run on so many samples begin."""
    return Timeline(batch_phases(spec), lambda size: max(1, count // size if spec.drop_last else -(-count // size)))


def recorded_speed(records: Iterable[RunRecord], device: torch.device) -> tuple[float, int] | None:
    """Return seconds of a gradient evaluation from records of one workload, and how many there were on such a device.

    The median: in a run that shared its cores with others, an evaluation took several times as long. A forward
    evaluation counts as a third of a gradient evaluation.
    """
    seconds = []
    for record in records:
        cost = record.counters.gradient_evaluations + record.counters.forward_evaluations / 3
        if record.environment.device == device.type and cost:
            seconds.append(record.timing.train_seconds / cost)
            if len(seconds) == ENOUGH:
                break
    return (median(seconds), len(seconds)) if seconds else None


def measured_speed(spec: RunSpec, shape: Shape, classes: int, device: torch.device) -> float:
    """Time one forward and backward on random input, on one thread of the CPU: the median of five after a warm-up.

    Where a few samples take so long already that a whole batch would keep one waiting, their time is scaled up. On the
    CPU it is the processor's time, without waiting for others; processes that share a core are slower than this. It is
    in :func:`timed_precision`.
    """
    layout = torch.channels_last if spec.channels_last else torch.contiguous_format
    model = models.build_for(spec, shape, classes).to(device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter

    def evaluate(samples: int) -> float:
        images = torch.rand(samples, *shape, device=device).contiguous(memory_format=layout)
        model.zero_grad()
        start = clock()
        with autocast(timed_precision(spec, device), device):
            logits = model(images)
        F.cross_entropy(logits.float(), torch.zeros(samples, dtype=torch.long, device=device)).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - start

    few, seconds = 1, 0.0
    with torch_threads(1):
        for most in _SAMPLES:
            few = min(most, spec.batch_size)
            evaluate(few)
            if (seconds := evaluate(few)) > _LONG:
                break
        if seconds * spec.batch_size / few <= _WAIT:
            few = spec.batch_size
        return median(evaluate(few) for _ in range(_TIMES)) * spec.batch_size / few


def timed_precision(spec: RunSpec, device: torch.device) -> str:
    """Return the precision that is timed: the run's, or fp32 on a processor that has no circuits for it.

    A network in a precision that is emulated takes minutes for a batch, and says nothing of where such runs are made.
    """
    emulated = spec.precision in ("bf16", "fp16") and device.type == "cpu" and best_precision(device) == "fp32"
    return "fp32" if emulated else spec.precision


@cache
def _published() -> dict[str, dict[str, Any]]:
    return parse_toml((Path(__file__).parent / "gpus.toml").read_text())


def known_gpu(text: str) -> str:
    """Return the GPU model that a text names, of those whose peak is known; empty for none.

    Example:
        >>> known_gpu("gpu:a100:2"), known_gpu("constraint=A100-SXM4-80GB"), known_gpu("gpu:a1000"), known_gpu("gpu")
        ('a100', 'a100', '', '')
    """
    words = re.findall("[a-z0-9]+", text.lower())
    return next((name for name in _published() if name in words), "")


def published_speed(spec: RunSpec, shape: Shape, classes: int, gpu: str) -> tuple[float, str]:
    """Return the seconds of a gradient evaluation by the published peak of a GPU, and a clause that says so.

    A gradient takes three times the operations of the forward pass; :data:`ASSUMED_SHARE` of the peak is assumed, and
    :data:`LEAST_SECONDS` at least.

    Args:
        spec: the resolved spec of a run.
        shape: channels, height and width of the images.
        classes: number of classes.
        gpu: name of the model, from :func:`known_gpu`.
    """
    channels, size, _ = shape
    network = {"classes": classes, "channels": channels, "image_size": size, "norm": spec.norm}
    peak = _published()[gpu].get(spec.precision, _published()[gpu]["fp32"])
    operations = 3 * spec.batch_size * models.forward_flops_of(spec.model, **network)
    said = f"not measured: {ASSUMED_SHARE:.0%} of the {peak:g} TFLOPS that are published for {gpu} in {spec.precision}"
    return max(LEAST_SECONDS, operations / (ASSUMED_SHARE * peak * 1e12)), said


def checkpoint_bytes(spec: RunSpec, classes: int) -> int:
    """Estimate the size of two checkpoints of a run: weights, momentum, and what the variant keeps, in fp32."""
    copies = 2 + get_info(spec.variant).state
    return int(2 * 4 * copies * models.parameters_of(spec.model, classes=classes, norm=spec.norm))


def memory_bytes(spec: RunSpec, shape: Shape, classes: int, count: int) -> Memory:
    """Estimate what a run takes of the memory of a GPU, from shapes alone.

    Args:
        spec: the resolved spec of the run.
        shape: channels, height and width of the images.
        classes: number of classes.
        count: training samples, which are on the GPU as uint8.
    """
    channels, size, _ = shape
    network = {"classes": classes, "channels": channels, "image_size": size, "norm": spec.norm}
    info = get_info(spec.variant)
    copies = 3 + ("adam" in spec.base) + info.state + info.transient  # weights, gradients, momentum; second moments
    fixed = 4 * copies * models.parameters_of(spec.model, **network) + count * channels * size * size
    activations = 0
    with suppress(Exception):  # a model of a plug-in that looks at values: its weights are counted
        activations = models.activation_bytes_of(spec.model, batch=-(-spec.batch_size // spec.accumulate), **network)
    return Memory(int(fixed), activations // (2 if spec.precision in ("bf16", "fp16") else 1))


def model_bytes(spec: RunSpec, shape: Shape, classes: int) -> int:
    """Estimate the size of a kept model: its parameters and buffers, and some 4 KB that say what they are."""
    channels, size, _ = shape
    network = {"classes": classes, "channels": channels, "image_size": size, "norm": spec.norm}
    return models.state_bytes_of(spec.model, **network) + 4_000


def record_bytes(spec: RunSpec) -> int:
    """Estimate the size of a record: some 4 KB, 250 bytes an epoch, and one bit a test image."""
    return 4_000 + 250 * spec.epochs + 2_000
