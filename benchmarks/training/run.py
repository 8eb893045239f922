"""From a spec to a record in the store: skip what is done, resume what was interrupted, record whatever happens."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...datasets import Dataset, load
from ...datasets.registry import check_name
from ...datasets.source import Source
from ...errors import SambenchError, StateError
from ...results.records.epochs import EPOCHS, EpochWriter
from ...results.records.lease import Lease
from ...results.records.record import Counters, RunRecord, Timing
from ...results.records.store import Store
from ...variants import get_info
from ...variants.averages import AVERAGES
from ...variants.hooks import HOOKS
from ...variants.info import STATUSES
from ..device import pick_device
from ..distributed.process_group import SINGLE_PROCESS, ProcessGroup
from ..distributed.rendezvous import DistributedEnvironment, rendezvous
from ..precision import Diverged, arithmetic
from ..spec import RunSpec
from .behaviour import behaviour_of
from .checkpoint import Checkpoints
from .environment import describe_environment
from .initialization import run_before
from .keeping import Keep, Keeper, kept_beginning
from .loggers import Loggers, open_loggers
from .loop import train
from .made_with import WAY_OUT, changed_since, made_with, plugin_commits, plugin_sources
from .made_with import begin as begin_with
from .state import Advance, Measurement, TrainState

log = logging.getLogger("sambench")
MOST_ERROR = 10_000
"""Characters of an error that a record keeps."""


def run_spec(
    spec: RunSpec,
    store: Store,
    *,
    source: Source | None = None,
    data_root: str | Path | None = None,
    device: torch.device | None = None,
    checkpoint_seconds: float = 60.0,
    watch: Callable[[TrainState], Advance] = lambda run: lambda run: None,
    process_group: ProcessGroup = SINGLE_PROCESS,
    keep: Keep | None = None,
    log_to: str = "",
    cuda_graph: bool = False,
    compiler: str | None = None,
    beginnings: Store | None = None,
) -> RunRecord:
    """Make one run and return its record; a run that the store has is returned as it is.

    All processes of a group call this with the same arguments. The main process reads and writes the store; all return
    the record.

    Args:
        spec: the resolved spec of the run.
        store: folder of records and checkpoints.
        source: kind and folder of the data set; by default it is found by its name.
        data_root: folder of downloaded data sets.
        device: device that this process trains on; by default the CPU.
        checkpoint_seconds: least time between two checkpoints.
        watch: called with the fresh or resumed run; returns a function that is called after every step.
        process_group: the processes that make this run together.
        keep: what of its weights is kept beside the record.
        log_to: loggers that are told of its epochs, with commas between them; see :mod:`.loggers`.
        cuda_graph: whether to record steps as CUDA graphs, where that is possible; they have the same bits.
        compiler: backend of ``torch.compile`` for the passes of training, as the record says; its bits are others.
        beginnings: results folder with the run whose weights it begins with, if its spec names one; by default
            ``store``.

    Raises:
        SambenchError: the run cannot be made; nothing that was there is lost.
        Interrupted: a signal came; the run can be resumed by the same call.
        Exception: whatever the training raised, after a record with status ``failed`` was written.
    """
    location = source.location if source else spec.dataset
    check_name(spec.dataset, location)
    if (record := process_group.broadcast_from_main(lambda: _finished(spec, store))) is not None:
        if process_group.is_main_process and (what := changed_since(record, made_with(spec, location))):
            log.warning("run %s was made with other code (%s): %s", spec.run_id[:12], what, WAY_OUT)
        return record
    process_group.broadcast_from_main(store.check_writable)
    dataset = load(location, name=spec.dataset, root=data_root)
    checkpoints = Checkpoints(store.checkpoints(spec.run_id), spec.run_id, dataset.fingerprint, checkpoint_seconds)
    with contextlib.ExitStack() as claim:

        def begin() -> RunRecord | None:
            claim.enter_context(checkpoints.claimed())
            record = _finished(spec, store)  # another process finished it just before this one held it
            if record is None:
                checkpoints.made_with = begin_with(checkpoints.folder, made_with(spec, location))
            return record

        if (record := process_group.broadcast_from_main(begin)) is not None:
            return record
        claim.enter_context(arithmetic(spec.precision, device or torch.device("cpu")))
        state_of = partial(
            TrainState,
            dataset=dataset,
            device=device or torch.device("cpu"),
            process_group=process_group,
            cuda_graph=cuda_graph,
            compiler=compiler,
        )
        run = _begun(checkpoints, lambda: state_of(spec))
        if spec.init == "adversarial" and run.step == 0:
            first = run_before(spec)
            trained = _trained(checkpoints.before(first.run_id), lambda: state_of(first))
            run = state_of(spec, beginning=trained.as_beginning())
        elif spec.init != "drawn" and run.step == 0:
            run = state_of(spec, beginning=kept_beginning(beginnings or store, spec.init))
        keeper = Keeper(keep, store, run, checkpoints.verify)
        about = (spec.model_dump(mode="json"), spec.label(), spec.run_id, store.root)
        loggers = claim.enter_context(open_loggers(log_to if checkpoints.lease else "", *about, run.curve))
        try:
            advance = keeper.watching(_reporting(run, checkpoints.lease, loggers, watch(run)))
            train(run, checkpoints, advance=advance)
            record = make_record(run, dataset, location, "completed", measurement=run.final_measurement(keeper.final))
        except Diverged as error:
            record = make_record(run, dataset, location, "diverged", str(error))
        except SambenchError as error:
            process_group.reason(error)
            raise
        except Exception as error:
            reason = process_group.reason(error)
            if process_group.is_main_process:
                checkpoints.verify()
                store.write(make_record(run, dataset, location, "failed", reason))
                with contextlib.suppress(OSError):  # the record has them
                    (checkpoints.folder / EPOCHS).unlink(missing_ok=True)
            raise

        def end() -> RunRecord:
            checkpoints.verify()
            store.write(record)
            loggers.finish(record)
            checkpoints.clear()
            return record

        return process_group.broadcast_from_main(end)


def run_spec_in_group(
    spec: RunSpec, store: Store, environment: DistributedEnvironment | None, *, device: str = "auto", **options: Any
) -> RunRecord:
    """Make one run as one of the processes that torchrun or srun started; by this process alone if none did.

    All processes call this with the same arguments, and all return the record. A process in which it raises has to
    end, for the others may wait for a message of it.

    Args:
        spec: the resolved spec of the run.
        store: folder of records and checkpoints, seen by all processes.
        environment: rank and number of the processes, from :func:`.rendezvous.read_environment`.
        device: ``auto``, ``cuda`` or ``cpu``; each process of a machine takes a GPU of its own.
        **options: further arguments of :func:`run_spec`.
    """
    with rendezvous(environment, store.root / "rendezvous") as process_group:
        own = environment.device(device) if environment else pick_device(device)
        return run_spec(spec, store, device=own, process_group=process_group, **options)


def _finished(spec: RunSpec, store: Store) -> RunRecord | None:
    return store.read(spec.run_id) if store.has(spec.run_id) else None


def _begun(checkpoints: Checkpoints, make: Callable[[], TrainState]) -> TrainState:
    """Return the run as its newest usable checkpoint has it, or from its start.

    Raises:
        StateError: it was begun on another number of devices.
    """
    run, states = make(), checkpoints.states()
    group = run.process_group
    while (state := group.broadcast_from_main(lambda: next(states, None))) is not None:
        refused: Exception | None = None
        try:
            run.load_state_dict(state)
        except StateError:
            raise
        except Exception as error:  # right by its checksum, and yet what no run wrote
            refused = error
        if not group.any(refused is not None):
            if group.is_main_process:
                log.info("resumed %s at step %d of %d", run.spec.run_id[:12], run.step, run.oracle.total_steps)
            return run
        if group.is_main_process:
            log.warning(
                "a checkpoint of %s has other content: %s; trying the one before it", run.spec.run_id[:12], refused
            )
        run = make()
    return run


def _trained(checkpoints: Checkpoints, make: Callable[[], TrainState]) -> TrainState:
    """Return what a run begins with, trained to its end from wherever its checkpoints have it."""
    run = _begun(checkpoints, make)
    log.info("training %s first, to begin with its weights", run.spec.run_id[:12])
    try:
        train(run, checkpoints)
    except Diverged as error:
        raise StateError(
            f"the adversarial initialization diverged: {error}. It depends on model, data, batch size and "
            "seed; give others"
        ) from error
    return run


def _reporting(run: TrainState, lease: Lease | None, loggers: Loggers, tell: Advance) -> Advance:
    """Write which step the run is at into the lease, which the main process has, and tell whoever is told of epochs."""
    if lease is None:
        return tell
    lease.first, lease.total = run.step, run.oracle.total_steps
    told = len(run.curve)
    lines = EpochWriter(lease.folder, run.spec.label(), run.spec.epochs, lease.total, run.curve)

    def advance(state: TrainState) -> None:
        nonlocal told
        lease.step = state.step
        if told < len(state.curve):
            lines.append(state.curve[-1])
            loggers.epoch(state.curve[-1])
            told += 1
        tell(state)

    return advance


def make_record(
    run: TrainState,
    dataset: Dataset,
    location: str,
    status: str,
    error: str | None = None,
    measurement: Measurement | None = None,
) -> RunRecord:
    """Translate the state of a run at its end into its record.

    Args:
        run: the state of the run at its end.
        dataset: the whole data set of the run.
        location: what the data set was loaded by: a name, or a format with a folder.
        status: ``completed``, ``diverged`` or ``failed``.
        error: why it did not complete.
        measurement: final measurement of a completed run.
    """
    spec, info, counted = run.spec, get_info(run.spec.variant), run.oracle.counters
    parts = (info, HOOKS.get(spec.hook), AVERAGES.get(spec.average))
    seconds = run.clock.stop()
    held_out = [point.validation_accuracy for point in run.curve if point.validation_accuracy is not None]
    return RunRecord.model_validate(
        {
            "run_id": spec.run_id,
            "spec": spec.model_dump(mode="json"),
            "status": status,
            "error": error and error[:MOST_ERROR],
            "declared_gradients": spec.declared_gradients,
            "variant_source": info.source_hash(),
            "variant_status": next((one.status for one in parts if one.status != STATUSES[0]), STATUSES[0]),
            "dataset_fingerprint": dataset.fingerprint,
            "classes": len(dataset.classes),
            "parameters": sum(p.numel() for p in run.model.parameters()),
            "curve": tuple(run.curve),
            "metrics": measurement and measurement.metrics,
            "best_validation_accuracy": max(held_out, default=None),
            "train_error": run.train_error if measurement else None,
            "initialization": run.initialization,
            "evaluated": measurement and measurement.evaluated,
            "plugin_sources": plugin_sources(spec, location),
            "weights": measurement and measurement.weights,
            "counters": Counters(steps=run.step, **asdict(counted)),
            "timing": Timing(
                began=run.began,
                train_seconds=seconds,
                evaluation_seconds=run.evaluation_clock.seconds,
                images_per_second=counted.samples / seconds if seconds > 0 else 0.0,
            ),
            "peak_memory": run.memory.bytes(),
            "environment": describe_environment(run.device, run.process_group.size).model_copy(
                update={
                    "behaviour": behaviour_of(info),
                    "plugin_commits": plugin_commits(spec, location),
                    "graph": run.graph and run.graph.describe(),
                    "compiler": run.compiler,
                }
            ),
        }
    )
