"""The plan of a suite: what is missing, what it will cost, and how long that takes. Pure data, no side effects."""

from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import torch

from ..benchmarks.spec import RunSpec
from ..benchmarks.suites.suite import Suite
from ..datasets.samplers import get_sampler
from ..datasets.source import Source
from ..errors import StateError
from ..results.records.record import RunRecord
from ..results.records.store import Store
from ..variants import AVERAGES, HOOKS, get_info
from . import estimate
from .estimate import Workload


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
    """What is to be done for a suite.

    Args:
        suite: whose plan it is.
        runs: to do.
        done: runs that have a final record.
        elsewhere: runs that somebody is making, or that wait in a queue.
        basis: what the estimates of time rest on.
        checkpoint_bytes: of the largest checkpoints of one run.
        record_bytes: of all records to come.
    """

    suite: Suite
    runs: tuple[Planned, ...]
    done: int
    elsewhere: int
    basis: tuple[str, ...]
    checkpoint_bytes: int = 0
    record_bytes: int = 0

    @cached_property
    def gradient_evaluations(self) -> float:
        return sum(run.gradient_evaluations for run in self.runs)

    @cached_property
    def seconds(self) -> float:
        """Estimated training time of all runs one after the other."""
        return sum(run.seconds for run in self.runs)


def make_plan(
    suite: Suite,
    store: Store,
    device: torch.device,
    data_root: str | None = None,
    elsewhere: Set[str] = frozenset(),
) -> Plan:
    """Compare a suite with a store.

    Time per gradient evaluation is taken from the store's records of the same workload on this kind of device; where
    there is none, one gradient evaluation of the model is timed here. A forward evaluation counts as a third.

    Args:
        suite: what is wanted.
        store: what is there.
        device: what the runs will be made on.
        data_root: folder of downloaded data sets.
        elsewhere: ids of runs that are being made already.
    """
    done = set(store.run_ids())
    ids = dict(zip(suite.run_ids, suite.specs, strict=True))
    alike: dict[Workload, list[str]] = {}
    for run_id in ids.keys() & done:
        alike.setdefault(estimate.workload(ids[run_id]), []).append(run_id)
    speeds: dict[Workload, tuple[float, str]] = {}
    sizes: dict[str, tuple[estimate.Shape, int, int]] = {}
    runs, checkpoints, records = [], 0, 0
    for run_id, spec in ids.items():
        if run_id in done or run_id in elsewhere:
            continue
        source = suite.source(spec)
        if spec.dataset not in sizes:
            sizes[spec.dataset] = estimate.data_size(spec, source, data_root)
        shape, classes, count = sizes[spec.dataset]
        key = estimate.workload(spec)
        if key not in speeds:
            speeds[key] = _speed(spec, shape, classes, device, _records(store, sorted(alike.get(key, []))))
        info, policy = get_info(spec.variant), get_sampler(spec.sampler)
        epoch = estimate.steps_per_epoch(spec, count, classes)
        steps = spec.epochs * epoch
        gradients = steps * info.declared_gradients(spec.hyper)
        forwards = steps * (info.declared_forwards(spec.hyper) + policy.declared_forwards(spec.hyper))
        if spec.hook != info.hook:  # a variant's own hook is part of what the variant declares
            forwards += steps * HOOKS.get(spec.hook).declared_forwards(spec.hyper)
        if AVERAGES.get(spec.average).statistics == "recomputed" and spec.norm == "batch":
            forwards += epoch
        seconds = speeds[key][0] * (gradients + forwards / 3)
        runs.append(Planned(spec, source, steps, gradients, forwards, seconds))
        checkpoints = max(checkpoints, estimate.checkpoint_bytes(spec, classes))
        records += estimate.record_bytes(spec)
    return Plan(
        suite=suite,
        runs=tuple(runs),
        done=sum(run_id in done for run_id in ids),
        elsewhere=sum(run_id in elsewhere and run_id not in done for run_id in ids),
        basis=tuple(basis for _, basis in speeds.values()),
        checkpoint_bytes=checkpoints,
        record_bytes=records,
    )


def _speed(
    spec: RunSpec, shape: estimate.Shape, classes: int, device: torch.device, records: Iterator[RunRecord]
) -> tuple[float, str]:
    """Return the seconds of a gradient evaluation, and what that rests on."""
    what = f"{spec.model} on {spec.dataset}"
    if known := estimate.recorded_speed(records, device):
        return known[0], f"{what}: {known[1]} records of this suite"
    if device.type == "cuda" and not torch.cuda.is_available():
        seconds = estimate.measured_speed(spec, shape, classes, torch.device("cpu"))
        return seconds, f"{what}: timed on this cpu for want of a GPU here, which will be many times faster"
    seconds = estimate.measured_speed(spec, shape, classes, device)
    return seconds, f"{what}: a gradient evaluation timed on this {device.type}, one thread"


def _records(store: Store, ids: list[str]) -> Iterator[RunRecord]:
    for run_id in ids:
        with suppress(StateError):  # damaged: the boards say so
            yield store.read(run_id)
