"""Measuring as jobs of a cluster: the payload, and its submission. Every measurement is a record, so jobs can be ended
and started again at any moment, as those that train."""

import signal
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...benchmarks.measuring.measurements import (
    MeasuringOptions,
    MeasuringPlan,
    RunMeasured,
    measure_runs,
    plan_measurements,
)
from ...benchmarks.measuring.registry import Request, ask
from ...benchmarks.spec import RunSpec
from ...errors import ConfigError, Interrupted, SambenchError
from ...markdown import count
from ...results.records.lease import job_id
from ...results.records.store import Store
from ..options import RunOptions
from ..plan import Planned
from .job import remove_half_results, requeue
from .packing import pack
from .profile import Profile
from .queue import Queue
from .submission import Submission, check_private, list_submissions
from .submit import submit


@dataclass(frozen=True)
class MeasuringJob:
    """The payload of a job that measures.

    Args:
        folder: folder of the submission.
        spans: where the runs that it measures lie in ``runs.jsonl``.
        what: name and settings of every measure.
        epoch: epochs after which the measured weights were kept; None for the final ones.
        rebuild: whether a model that is not kept is made again.
    """

    folder: str
    spans: tuple[tuple[int, int], ...]
    what: tuple[tuple[str, dict[str, Any]], ...]
    epoch: int | None
    rebuild: bool

    def __call__(self) -> int:
        """Measure the runs of this job; return how many measurements were made.

        Raises:
            SambenchError: something could not be measured; all else is.
            SystemExit: the job was requeued.
        """
        check_private(Path(self.folder))
        remove_half_results()
        launch = Submission(Path(self.folder))
        options, runs = launch.options, launch.read_runs(self.spans)
        options.load_plugins()
        sources = {run.source.name: run.source for run in runs if run.source}
        measuring = MeasuringOptions(
            launch.results,
            epoch=self.epoch,
            rebuild=self.rebuild,
            device=options.device,
            data_root=options.data_root,
            sources=tuple(sources.values()),
            plugins=options.plugins,
        )
        requests = [ask(name, settings) for name, settings in self.what]
        measured: list[RunMeasured] = []

        def listen(one: RunMeasured) -> None:
            measured.append(one)
            print(f"run {one.run_id[:12]}: {count(len(one.made), 'measurement')}", *one.failed, sep="\n  ", flush=True)

        ids = [run.spec.run_id for run in runs]
        before = plan_measurements(ids, requests, measuring).done
        try:
            signal.signal(signal.SIGUSR2, signal.default_int_handler)  # the time limit, or a preemption, is near
            measure_runs(ids, requests, measuring, workers=launch.profile.at_a_time, listen=listen)
        except (Interrupted, KeyboardInterrupt):
            progressed = plan_measurements(ids, requests, measuring).done > before
            requeue(progressed, launch.jobs_folder / f"{job_id()}_stalled.txt")
        if failed := [line for one in measured for line in one.failed]:
            raise SambenchError("; ".join(failed))
        return sum(len(one.made) for one in measured)

    def checkpoint(self) -> object:
        """What submitit calls on a signal that comes before this job listens: start again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit_measuring(
    plan: MeasuringPlan, name: str, options: MeasuringOptions, profile: Profile, tell: Callable[[str], None]
) -> Submission | None:
    """Submit what a plan lacks as job arrays; nothing depends on this process afterwards.

    Args:
        plan: what is to be measured.
        name: what was asked for: a suite, or a run.
        options: results folder, data, plug-ins; the device is the profile's.
        profile: resources of the jobs, and how many runs each measures.
        tell: is given a line of text for every array that was submitted.

    Returns:
        The submission; None where jobs that wait or run measure all of it already.

    Raises:
        ConfigError: SLURM or submitit is not here, or SLURM refuses the request.
        StateError: a run has no record, or the folder cannot be written.
    """
    if profile.devices > 1 or profile.gpus > 1 or profile.gpus_of_gres > 1:
        raise ConfigError(
            f"devices={profile.devices}, gpus={profile.shared_gpus}: a job that measures uses one device: leave both "
            "at 1, and runs_per_job small, for more jobs at a time"
        )
    store, runs = Store(options.results), []
    under_way = _under_way(store, plan.todo)
    todo = {
        run_id: rest
        for run_id, requests in plan.todo.items()
        if (rest := tuple(one for one in requests if (run_id, _label(one, options.epoch)) not in under_way))
    }
    if len(todo) < len(plan.todo):
        tell(f"{len(plan.todo) - len(todo)} runs are left out: jobs that wait or run measure them")
    if not todo:
        return None
    for run_id in todo:
        record = store.read(run_id)
        spec, source = RunSpec.model_validate(record.spec), options.source(record.spec["dataset"])
        runs.append(Planned(spec, source, 0, 0.0, 0.0, record.timing.train_seconds))
    what = {one.label: (one.measure.name, dict(one.settings)) for requests in todo.values() for one in requests}
    there = RunOptions(options.results, data_root=options.data_root, plugins=options.plugins)
    measures = sorted({_label(one, options.epoch) for requests in todo.values() for one in requests})
    payload = partial(MeasuringJob, what=tuple(what.values()), epoch=options.epoch, rebuild=options.rebuild)
    jobs = pack(tuple(runs), profile.runs_per_job, profile.at_a_time)
    return submit(options.results, name, jobs, profile, there, tell, payload=payload, measures=measures)


def _label(one: Request, epoch: int | None) -> str:
    """Name what is measured of which weights: of those after an epoch, or of the final ones."""
    return one.label if epoch is None else f"{one.label} @{epoch}"


def _under_way(store: Store, runs: Container[str]) -> set[tuple[str, str]]:
    """Return what jobs that wait or run are to measure of some runs, as (run id, label) pairs."""
    launches = [launch for launch in list_submissions(store.root) if launch.measures]
    queue = Queue.of(launches)
    return {
        (run_id, label)
        for launch in launches
        for run_id in launch.job_of
        if run_id in runs and queue.may_go_on(launch, run_id)
        for label in launch.measures
    }
