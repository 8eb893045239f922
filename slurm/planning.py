"""From a suite and a store to a plan: what is missing, what it will cost, and how long that takes."""

from collections.abc import Iterator, Set
from contextlib import suppress

import torch
from torch import Tensor

from ..benchmarks.spec import RunSpec
from ..benchmarks.suites.suite import Suite
from ..benchmarks.training.keeping import Keep
from ..benchmarks.training.made_with import outdated
from ..datasets import Augmentation
from ..datasets.samplers import SAMPLERS
from ..errors import StateError
from ..results.records.record import RunRecord
from ..results.records.store import Store
from ..variants import AVERAGES, HOOKS, get_info
from . import estimate
from .estimate import Workload
from .plan import Memory, Plan, Planned


def make_plan(
    suite: Suite,
    store: Store,
    device: torch.device,
    data_root: str | None = None,
    elsewhere: Set[str] = frozenset(),
    keep: Keep | None = None,
    gpu: str = "",
) -> Plan:
    """Compare a suite with a store.

    Time per gradient evaluation is taken from the store's records of the same workload on this kind of device; where
    there is none, one gradient evaluation of the model is timed here, or, for a GPU that is not here, computed from its
    published peak. A forward evaluation counts as a third.

    Args:
        suite: the runs that are wanted.
        store: results folder with the records that exist.
        device: device that the runs will be made on; estimates are for it.
        data_root: folder of downloaded data sets.
        elsewhere: run ids that another process or job is making.
        keep: what of the weights of every run will be kept.
        gpu: model of the GPU that runs will be made on, if it is one of :func:`.estimate.known_gpu`.

    Raises:
        ConfigError: a point at which weights are to be kept lies behind the end of a run.
    """
    done = set(store.run_ids())
    ids = dict(zip(suite.run_ids, suite.specs, strict=True))
    alike: dict[Workload, list[str]] = {}
    for run_id in ids.keys() & done:
        alike.setdefault(estimate.workload(ids[run_id]), []).append(run_id)
    speeds: dict[Workload, tuple[float, str]] = {}
    data: dict[str, tuple[estimate.Shape, int, Tensor]] = {}
    counts: dict[tuple[str, str, int | None, float, int], int] = {}
    runs, checkpoints, records, kept = [], 0, 0, 0
    memory: Memory | None = None
    for run_id, spec in ids.items():
        if run_id in done or run_id in elsewhere:
            continue
        source = suite.source(spec)
        if spec.dataset not in data:
            data[spec.dataset] = estimate.train_labels(spec, source, data_root)
        shape, classes, labels = data[spec.dataset]
        shape = Augmentation.parse(spec.augment).shape(shape)
        key = estimate.workload(spec)
        if key not in speeds:
            speeds[key] = _speed(spec, shape, classes, device, _records(store, sorted(alike.get(key, []))), gpu)
        info, policy = get_info(spec.variant), SAMPLERS.get(spec.sampler)
        seed = spec.seed if spec.imbalance != 1 else 0  # which samples are drawn depends on it, their number does not
        chosen = (spec.dataset, spec.split, spec.subset, spec.imbalance, seed)
        if chosen not in counts:
            counts[chosen] = estimate.train_count(spec, labels, classes)
        timeline = estimate.timeline(spec, counts[chosen])
        batches = timeline.in_first_batches()  # what evaluations are counted in
        gradients = batches * spec.declared_gradients
        forwards = batches * (info.declared_forwards(spec.hyper) + policy.declared_forwards(spec.hyper))
        if spec.hook != info.hook:  # a variant's own hook is part of what the variant declares
            forwards += batches * HOOKS.get(spec.hook).declared_forwards(spec.hyper)
        if AVERAGES.get(spec.average).statistics == "recomputed" and spec.norm == "batch":
            forwards += timeline.steps[0]
        before = timeline.steps[0] * spec.init_epochs if spec.init == "adversarial" else 0
        seconds = speeds[key][0] * (gradients + forwards / 3 + before)
        runs.append(Planned(spec, source, timeline.start(spec.epochs), gradients, forwards, seconds))
        checkpoints = max(checkpoints, estimate.checkpoint_bytes(spec, classes))
        if device.type == "cuda":
            memory = max(memory or Memory(0, 0), estimate.memory_bytes(spec, shape, classes, counts[chosen]), key=sum)
        records += estimate.record_bytes(spec)
        if keep is not None:
            kept += (1 + len(keep.epochs(spec.epochs))) * estimate.model_bytes(spec, shape, classes)
    return Plan(
        suite=suite,
        runs=tuple(runs),
        done=sum(run_id in done for run_id in ids),
        elsewhere=sum(run_id in elsewhere and run_id not in done for run_id in ids),
        basis=tuple(basis for _, basis in speeds.values()),
        checkpoint_bytes=checkpoints,
        record_bytes=records,
        outdated=len(outdated(((spec, suite.source(spec)) for spec in suite.specs), store)),
        model_bytes=kept,
        memory=memory,
    )


def _speed(
    spec: RunSpec, shape: estimate.Shape, classes: int, device: torch.device, records: Iterator[RunRecord], gpu: str
) -> tuple[float, str]:
    """Return the seconds of a gradient evaluation, and a sentence on how they were found."""
    what = f"{spec.model} on {spec.dataset}"
    if known := estimate.recorded_speed(records, device):
        return known[0], f"{what}: {known[1]} records of this suite"
    if gpu and device.type == "cuda" and not torch.cuda.is_available():
        seconds, said = estimate.published_speed(spec, shape, classes, gpu)
        return seconds, f"{what}: {said}"
    here = torch.device("cpu") if device.type == "cuda" and not torch.cuda.is_available() else device
    timed, seconds = estimate.timed_precision(spec, here), estimate.measured_speed(spec, shape, classes, here)
    other = f"; in {timed}, as {spec.precision} is emulated here and slower" if timed != spec.precision else ""
    if here != device:
        return seconds, f"{what}: timed on this CPU, as there is no GPU here; a GPU will be many times faster{other}"
    return seconds, f"{what}: a gradient evaluation timed on this {device.type}, one thread{other}"


def _records(store: Store, ids: list[str]) -> Iterator[RunRecord]:
    for run_id in ids:
        with suppress(StateError):  # damaged: the boards say so
            yield store.read(run_id)
