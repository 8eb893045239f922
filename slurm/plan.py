"""The plan of a suite: what is missing, what it will cost, and how long that takes. Pure data, no side effects."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F

from ..benchmarks import models
from ..benchmarks.precision import autocast
from ..benchmarks.spec import RunSpec, Source
from ..benchmarks.suite import Suite
from ..datasets import list_datasets, load
from ..datasets.samplers import get_sampler
from ..results.record import RunRecord
from ..results.store import Store
from ..variants import get_info

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Planned:
    """One run that the store does not have.

    Args:
        spec: the run.
        source: where its data comes from, when not by name.
        steps: optimizer steps.
        gradient_evaluations: declared by the variant, over all steps.
        forward_evaluations: declared by variant and sampler, over all steps.
        seconds: estimated training time.
    """

    spec: RunSpec
    source: Source | None
    steps: int
    gradient_evaluations: float
    forward_evaluations: float
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What is to be done for a suite, and on what the estimate of time rests."""

    suite: Suite
    runs: tuple[Planned, ...]
    done: int
    basis: tuple[str, ...]

    @cached_property
    def gradient_evaluations(self) -> float:
        return sum(run.gradient_evaluations for run in self.runs)

    @cached_property
    def seconds(self) -> float:
        """Estimated training time of all runs one after the other."""
        return sum(run.seconds for run in self.runs)


def make_plan(suite: Suite, store: Store, device: torch.device, data_root: str | None = None) -> Plan:
    """Compare a suite with a store.

    Time per gradient evaluation is taken from the store's records of the same workload on this kind of device; where
    there is none, one gradient evaluation of the model is timed here. A forward evaluation counts as a third.
    """
    missing = [spec for spec in suite.specs if not store.has(spec.run_id)]
    speeds: dict[tuple, tuple[float, str]] = {}
    sizes: dict[str, tuple[Shape, int, int]] = {}
    runs = []
    for spec in missing:
        source = suite.source(spec)
        if spec.dataset not in sizes:
            sizes[spec.dataset] = _size(spec, source, data_root)
        shape, classes, count = sizes[spec.dataset]
        key = _workload(spec)
        if key not in speeds:
            known = _recorded_speed(key, _records_of(suite, store), device)
            speeds[key] = known or (
                _measured_speed(spec, shape, classes, device),
                f"{spec.model} on {spec.dataset}: a gradient evaluation timed on this {device.type}, one thread",
            )
        info, policy = get_info(spec.variant), get_sampler(spec.sampler)
        steps = spec.epochs * steps_per_epoch(spec, count, classes)
        gradients = steps * info.declared_gradients(spec.hyper)
        forwards = steps * (info.declared_forwards(spec.hyper) + policy.declared_forwards(spec.hyper))
        seconds = speeds[key][0] * (gradients + forwards / 3)
        runs.append(Planned(spec, source, steps, gradients, forwards, seconds))
    return Plan(suite, tuple(runs), len(suite.specs) - len(missing), tuple(basis for _, basis in speeds.values()))


def steps_per_epoch(spec: RunSpec, count: int, classes: int) -> int:
    """Return the steps of an epoch from the size of the whole training set."""
    if spec.split != "full":
        count -= count // 10
    if spec.subset is not None:
        count = min(count, spec.subset)
    if spec.imbalance > 1 and classes > 1:
        ratios = [spec.imbalance ** (-c / (classes - 1)) for c in range(classes)]
        count = int(count * sum(ratios) / classes)
    return max(1, count // spec.batch_size if spec.drop_last else -(-count // spec.batch_size))


def _size(spec: RunSpec, source: Source | None, data_root: str | None) -> tuple[Shape, int, int]:
    """Return image shape, number of classes and training images; known names are not loaded for it."""
    for info in list_datasets():
        if source is None and info.name == spec.dataset and info.shape and info.classes and info.train:
            return info.shape, info.classes, info.train
    dataset = load(source.location if source else spec.dataset, name=spec.dataset, root=data_root)
    return dataset.shape, len(dataset.classes), len(dataset.train_labels)


def _workload(spec: RunSpec) -> tuple:
    return (spec.dataset, spec.model, spec.norm, spec.batch_size, spec.precision, spec.channels_last)


def _records_of(suite: Suite, store: Store) -> Callable[[], Iterable[RunRecord]]:
    return lambda: (store.read(spec.run_id) for spec in suite.specs if store.has(spec.run_id))


def _recorded_speed(
    key: tuple, records: Callable[[], Iterable[RunRecord]], device: torch.device
) -> tuple[float, str] | None:
    seconds = []
    for record in records():
        cost = record.counters.gradient_evaluations + record.counters.forward_evaluations / 3
        same = _workload(RunSpec.model_validate(record.spec)) == key and record.environment.device == device.type
        if same and cost:
            seconds.append(record.timing.train_seconds / cost)
    if not seconds:
        return None
    return sum(seconds) / len(seconds), f"{key[1]} on {key[0]}: {len(seconds)} records of this suite"


def _measured_speed(spec: RunSpec, shape: Shape, classes: int, device: torch.device) -> float:
    """Time one forward and backward on random input, on one thread of the CPU: the best of four after a warm-up."""
    channels, size, _ = shape
    layout = torch.channels_last if spec.channels_last else torch.contiguous_format
    model = models.build(spec.model, classes=classes, channels=channels, image_size=size, norm=spec.norm, seed=0).to(
        device, memory_format=layout
    )  # pyright: ignore[reportCallIssue]
    images = torch.zeros(spec.batch_size, *shape, device=device).contiguous(memory_format=layout)
    labels = torch.zeros(spec.batch_size, dtype=torch.long, device=device)
    times, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(5):
            start = time.perf_counter()
            with autocast(spec.precision, device):
                logits = model(images)
            F.cross_entropy(logits.float(), labels).backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return min(times[1:])
