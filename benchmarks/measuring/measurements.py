"""From runs and requests to measurements in the store: skip what is done, and let nothing that fails stop the rest."""

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from ...datasets import Dataset, load
from ...datasets.source import Source
from ...errors import ConfigError, Interrupted, SambenchError, StateError
from ...markdown import count
from ...registry import load_plugin
from ...results.records.measurement import Measurement, Measurements, measurement_id
from ...results.records.models import FINAL, model_path
from ...results.records.record import RunRecord
from ...results.records.store import Store
from ..device import pick_device, torch_threads, with_generator
from ..precision import arithmetic
from ..training.environment import describe_environment
from ..training.keeping import read_model
from ..training.rebuild import check_can_be_rebuilt, rebuild_model
from .registry import NotApplicable, Request, read_requests
from .subject import Subject


@dataclass(frozen=True)
class MeasuringOptions:
    """How runs are measured; the same for all of them.

    Args:
        results: results folder of the runs.
        epoch: epochs after which the weights were kept that are measured; None for the final ones.
        rebuild: whether a model that is not kept is made again by its run.
        device: where to compute: ``auto``, ``cpu``, ``cuda``, ...
        data_root: folder of downloaded data sets.
        sources: where data sets lie that are not known by name.
        plugins: Python files that register what runs or requests name.
    """

    results: Path
    epoch: int | None = None
    rebuild: bool = False
    device: str = "auto"
    data_root: str | None = None
    sources: tuple[Source, ...] = ()
    plugins: tuple[str, ...] = ()

    def source(self, dataset: str) -> Source | None:
        """Return where a data set lies, if it was said."""
        return next((source for source in self.sources if source.name == dataset), None)


@dataclass(frozen=True)
class MeasuringPlan:
    """What is to be measured.

    Args:
        todo: run id -> requests that it has no measurement of; runs in the order given.
        done: number of measurements that are there.
        missing: ids of the runs in ``todo`` whose weights are not kept.
        rebuild_seconds: training time of those, as their records say.
        skipped: what cannot be measured, with the reason, one line each.
    """

    todo: dict[str, list[Request]]
    done: int
    missing: tuple[str, ...]
    rebuild_seconds: float
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class RunMeasured:
    """What came of the requests of one run: measurements made, and lines on those that were not.

    Args:
        run_id: the run.
        made: the measurements that were written.
        failed: errors, one line each.
        not_applicable: requests that are not defined for this network, with the reason.
    """

    run_id: str
    made: list[Measurement] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    not_applicable: list[str] = field(default_factory=list)


def plan_measurements(run_ids: Iterable[str], requests: Sequence[Request], options: MeasuringOptions) -> MeasuringPlan:
    """Compare what is asked for with what is there; writes nothing."""
    store = Store(options.results)
    measurements, todo = Measurements(store), dict[str, list[Request]]()
    done, seconds = 0, 0.0
    missing, skipped = list[str](), list[str]()
    for run_id in dict.fromkeys(run_ids):
        wanted = [one for one in requests if not measurements.has(run_id, identify(run_id, one, options.epoch))]
        done += len(requests) - len(wanted)
        if not wanted:
            continue
        if not store.has(run_id):
            skipped.append(f"run {run_id[:12]} has no record in {store.runs}")
            continue
        try:
            record = store.read(run_id)
        except StateError as error:  # damaged
            skipped.append(str(error))
            continue
        if record.weights is None:
            skipped.append(f"run {run_id[:12]} has no final weights: it {record.status}")
            continue
        kept = model_path(store, run_id, FINAL if options.epoch is None else options.epoch).is_file()
        if not kept and not all(one.measure.of_record for one in wanted):
            if reason := _why_not(record, options):
                skipped.append(reason)
                wanted = [one for one in wanted if one.measure.of_record]
            else:
                missing.append(run_id)
                seconds += record.timing.train_seconds
        if wanted:
            todo[run_id] = wanted
    return MeasuringPlan(todo, done, tuple(missing), seconds, tuple(skipped))


def measure_runs(
    run_ids: Iterable[str],
    what: Sequence[str] | Sequence[Request],
    options: MeasuringOptions,
    *,
    workers: int = 1,
    listen: Callable[[RunMeasured], None] = lambda measured: None,
) -> list[RunMeasured]:
    """Measure runs; measurements that are there are not made again, and nothing that fails stops another run.

    Args:
        run_ids: ids of finished runs.
        what: measures and groups as ``sambench measure --what`` takes them, or requests.
        options: results folder, data, device.
        workers: processes at a time; 1 for none but this one.
        listen: called with each run when it is done.

    Returns:
        What came of each run that lacked a measurement, in the order in which they were done.

    Raises:
        ConfigError: a measure or a setting is not valid.
        Interrupted: a signal came; the same call goes on.
        SambenchError: a worker process died; the same call goes on.
    """
    for plugin in options.plugins:
        load_plugin(plugin)
    requests = [one for one in what if isinstance(one, Request)]
    requests += read_requests([text for text in what if isinstance(text, str)])
    plan = plan_measurements(run_ids, requests, options)
    found = []
    try:
        for measured in _each(plan, options, workers):
            listen(measured)
            found.append(measured)
    except KeyboardInterrupt:
        raise Interrupted(f"{len(found)} of {count(len(plan.todo), 'run')} measured") from None
    except BrokenProcessPool as error:
        raise SambenchError(
            f"a worker process died, of {workers}: out of memory, perhaps. {len(found)} of {len(plan.todo)} runs are "
            "measured; the same command goes on, with --workers 1 it needs the least memory"
        ) from error
    return found


def _each(plan: MeasuringPlan, options: MeasuringOptions, workers: int) -> Iterator[RunMeasured]:
    if workers == 1 or len(plan.todo) < 2:
        with torch_threads(1):
            for run_id, requests in plan.todo.items():
                yield measure_run(run_id, requests, options)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (options.plugins,))
    try:
        todo = [
            pool.submit(_measure, run_id, [(one.measure.name, dict(one.settings)) for one in requests], options)
            for run_id, requests in plan.todo.items()
        ]
        for done in as_completed(todo):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(plugins: Sequence[str]) -> None:
    """Set up a worker process; Ctrl-C and a cluster's warning reach it too, and the parent decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    torch.set_num_threads(1)
    for plugin in plugins:
        load_plugin(plugin)


def _measure(run_id: str, requests: list[tuple[str, dict[str, object]]], options: MeasuringOptions) -> RunMeasured:
    """Measure a run in a worker process; requests travel by name."""
    from .registry import ask

    return measure_run(run_id, [ask(name, settings) for name, settings in requests], options)


def measure_run(run_id: str, requests: Sequence[Request], options: MeasuringOptions) -> RunMeasured:
    """Make measurements of one run and write them; every error of a measure becomes a line of the result."""
    result = RunMeasured(run_id)
    try:
        record = Store(options.results).read(run_id)
        of_record = all(one.measure.of_record for one in requests)
        subject = None if of_record else open_subject(run_id, options)
    except SambenchError as error:
        result.failed.append(str(error))
        return result
    store = Measurements(Store(options.results))
    device = subject.device if subject else torch.device("cpu")
    with arithmetic("fp32", device):
        environment = describe_environment(device)
        for request in requests:
            start = time.perf_counter()
            try:
                values, series = _found(request, record, subject, options)
            except NotApplicable as reason:
                result.not_applicable.append(f"{request.label}: {reason}")
                continue
            except Exception as error:
                kind = "" if isinstance(error, SambenchError) else f"{type(error).__name__}: "
                result.failed.append(f"{request.label} of run {run_id[:12]}: {kind}{error}")
                continue
            measurement = Measurement(
                measurement_id=identify(run_id, request, options.epoch),
                run_id=run_id,
                epoch=options.epoch,
                measure=request.measure.name,
                version=request.measure.version,
                settings=dict(request.settings),
                label=request.label,
                weights=subject.kept.weights if subject else str(record.weights),
                values=values,
                series=series,
                seconds=time.perf_counter() - start,
                source=request.measure.source,
                environment=environment,
            )
            store.write(measurement)
            result.made.append(measurement)
    return result


def _found(
    request: Request, record: RunRecord, subject: Subject | None, options: MeasuringOptions
) -> tuple[dict[str, float | None], dict[str, tuple[float | None, ...]]]:
    """Return the numbers that a measure finds, and its series; what is not finite is None."""
    if request.measure.of_record or subject is None:
        if options.epoch is not None:
            raise NotApplicable("a record is of the final weights; leave the epoch out")
        found = request.measure.function(record, **request.settings)
    else:
        with torch.random.fork_rng(with_generator(subject.device)), subject.unchanged(request.label):
            found = request.measure.function(subject, **request.settings)
    if found.keys() != request.measure.values.keys():
        raise ConfigError(f"it returns {sorted(found)}, and declares {sorted(request.measure.values)}")
    values, series = dict[str, float | None](), dict[str, tuple[float | None, ...]]()
    for key, value in found.items():
        if isinstance(value, Iterable) and np.ndim(value):  # an array or tensor without axes is a number
            series[key] = tuple(map(_finite, value))
        else:
            values[key] = _finite(float(value))  # pyright: ignore[reportArgumentType]
    return values, series


def open_subject(run_id: str, options: MeasuringOptions) -> Subject:
    """Return a run as measures see it; its model is made again first where that was asked for.

    Raises:
        StateError: its model is not kept, damaged, or made on other data.
    """
    store = Store(options.results)
    record = store.read(run_id)
    source, final = options.source(record.spec["dataset"]), options.epoch is None
    if options.rebuild and final and not model_path(store, run_id).is_file():
        rebuild_model(run_id, store, source=source, data_root=options.data_root)
    kept = read_model(store, run_id, FINAL if options.epoch is None else options.epoch)
    location = source.location if source else record.spec["dataset"]
    return Subject(
        record,
        kept,
        _dataset(location, record.spec["dataset"], options.data_root),
        pick_device(options.device),
        lambda another: open_subject(another, options),
    )


def identify(run_id: str, request: Request, epoch: int | None) -> str:
    """Return the id of the measurement that a request of a run has."""
    return measurement_id(run_id, epoch, request.measure.name, request.measure.version, dict(request.settings))


def _why_not(record: RunRecord, options: MeasuringOptions) -> str:
    """Say why a run whose weights are not kept cannot be measured; nothing if its model can be made again."""
    if not options.rebuild or options.epoch is not None:
        again = "" if options.epoch is not None else "; --rebuild makes it again by the run itself"
        return f"the model of run {record.run_id[:12]} is not kept{again}"
    try:
        check_can_be_rebuilt(record)
    except SambenchError as error:
        return str(error)
    return ""


@cache
def _dataset(location: str, name: str, root: str | None) -> Dataset:
    return load(location, name=name, root=root)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
