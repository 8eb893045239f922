"""Where a plan is carried out: in this process, in worker processes of this machine, or as jobs of a SLURM cluster.

Each place is an :class:`Executor`, found by its name through ``EXECUTORS``; :func:`~sambench.slurm.launch.launch_suite`
knows nothing else of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import torch

from .. import units
from ..benchmarks.device import cores, pick_device, pick_gpus
from ..benchmarks.precision import best_precision
from ..benchmarks.suites.calibration import check_device
from ..benchmarks.training.environment import describe_environment
from ..errors import ConfigError, SambenchError
from ..markdown import count
from ..registry import Registry
from .cluster import commands
from .cluster.packing import Packed, pack
from .cluster.profile import MOST_RUNS_PER_PROCESS, Profile, too_many
from .cluster.submit import submit
from .estimate import known_gpu
from .events import Listen
from .local import run_pool
from .options import RunOptions
from .plan import Plan
from .resources import check_room, disk_bytes, resources
from .worker import run_here

EXECUTORS: "Registry[type[Executor]]" = Registry("executor")
"""The places where suites can be run, by name: ``@EXECUTORS.register`` adds a class."""

USUAL_ARRAY = 1000
"""Jobs of an array where nobody can be asked: SLURM's default ``MaxArraySize``, less the one that it counts from 0."""


class Executor(Protocol):
    """One place where runs are made, with the settings of that place."""

    name: ClassVar[str]

    def fit(self, options: RunOptions) -> RunOptions:
        """Return the options of runs with the device, threads and number of devices of this place."""
        ...

    def alone(self, threads: int) -> Self:
        """Return this place with one run at a time on so many CPU threads, as track T needs it."""
        ...

    def device(self) -> torch.device:
        """Return the kind of device that runs are made on, for estimates; it need not be on this machine."""
        ...

    def describe(self, plan: Plan) -> list[tuple[str, str]]:
        """Return what a plan takes here, as (name, value) lines for people."""
        ...

    def check(self, plan: Plan, results: Path) -> None:
        """Refuse a plan before anything starts.

        Raises:
            ConfigError: the device, the scheduler or the room on the disk is missing.
        """
        ...

    def run(self, plan: Plan, options: RunOptions, listen: Listen) -> dict[str, str]:
        """Carry out a plan that was checked; return how each run ended (or ``submitted``), by run id."""
        ...


def make_executor(name: str, **settings: Any) -> Executor:
    """Return an executor by name.

    Args:
        name: ``debug``, ``local``, ``slurm`` or one of a plug-in.
        **settings: fields of its class, such as ``workers=2`` or ``profile=load_profile("gpu")``.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> make_executor("local", workers=2, threads=1).name
        'local'
    """
    return EXECUTORS.get(name)(**settings)


@dataclass(frozen=True)
class _Here:
    """What the two executors of this machine share.

    Args:
        device_name: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
        threads: CPU threads of one run; the same number gives the same bits.
        workers: runs at a time; None chooses, see ``at_once``.
        gpus: numbers of the GPUs to use, of those that ``CUDA_VISIBLE_DEVICES`` leaves; None for all.
        runs_per_gpu: runs at a time on one GPU.
        isolate: whether each of these has a process of its own; else one process makes them in turns.
        devices: devices that train one run together, one process each.

    Raises:
        ConfigError: what is said of GPUs cannot be had here.
    """

    device_name: str = "auto"
    threads: int = 1
    workers: int | None = None
    gpus: tuple[int, ...] | None = None
    runs_per_gpu: int = 1
    isolate: bool = False
    devices: int = 1

    def __post_init__(self) -> None:
        cards = self.cards
        if not cards and (self.gpus or self.runs_per_gpu > 1):
            raise ConfigError(
                f"gpus and runs_per_gpu mean nothing on device {self.device_name!r}, which is no set of GPUs here; "
                "--workers says how many runs are made at a time"
            )
        if self.devices > 1 and (self.runs_per_gpu > 1 or self.device_name not in ("auto", "cuda", "cpu")):
            raise ConfigError(
                f"a run on {self.devices} devices has them for itself: leave runs_per_gpu at 1, and device at auto, "
                "cuda or cpu"
            )
        if self.runs_per_gpu > MOST_RUNS_PER_PROCESS and not self.isolate:
            raise ConfigError(too_many(self.runs_per_gpu))
        if cards and self.devices > len(cards):
            raise ConfigError(f"a run on {self.devices} devices needs {self.devices} GPUs; there are {len(cards)}")

    @cached_property
    def cards(self) -> tuple[int, ...]:
        """Numbers of the GPUs that runs are spread over: none on the CPU, or where one GPU is the device."""
        return pick_gpus(self.gpus) if self.device_name in ("auto", "cuda") else ()

    @property
    def at_once(self) -> int:
        """Runs at a time: on GPUs as many as there are, times ``runs_per_gpu``; else one per core, at most four, as a
        small model uses one core well and memory is shared."""
        places = len(self.cards) * self.runs_per_gpu or min(4, cores())
        return self.workers or max(1, places // self.devices)

    @property
    def processes(self) -> int:
        """Worker processes: one for each run at a time, or for each GPU where several runs share one."""
        if self.isolate:
            return self.at_once
        return max(-(-self.at_once // self.runs_per_gpu), min(len(self.cards), self.at_once))

    def fit(self, options: RunOptions) -> RunOptions:
        return replace(options, device=self.device_name, threads=self.threads, devices=self.devices, gpus=self.cards)

    def alone(self, threads: int) -> Self:
        return replace(self, workers=1, threads=threads, runs_per_gpu=1)

    def device(self) -> torch.device:
        return pick_device(self.device_name)

    def describe(self, plan: Plan) -> list[tuple[str, str]]:
        return [
            (f"with {self.at_once} at a time", f"about {units.duration(plan.wall_seconds(self.at_once))}"),
            *([("GPUs", ", ".join(map(str, self.cards)))] if self.cards else []),
            *_memory(plan, self.runs_per_gpu, self.devices),
            ("disk", units.size(disk_bytes(plan, self.at_once))),
            *self._emulated(plan),
        ]

    def _emulated(self, plan: Plan) -> list[tuple[str, str]]:
        """Say of a precision that this device computes in software that another is faster."""
        asked = {run.spec.precision for run in plan.runs} - {"fp32"}
        if not asked or best_precision(device := self.device()) != "fp32":
            return []
        what = f"{', '.join(sorted(asked))} is emulated on this {device.type}"
        return [("precision", f'{what}: `precision = "fp32"` in the table [spec] is faster here, and another run')]

    def check(self, plan: Plan, results: Path) -> None:
        check_device(plan.suite, describe_environment(self.device()), self.threads)
        check_room(results, disk_bytes(plan, self.at_once))


def _memory(plan: Plan, runs_per_gpu: int, devices: int) -> list[tuple[str, str]]:
    """Say what the largest run takes of a GPU, as far as shapes tell it."""
    if plan.memory is None:
        return []
    fixed, activations = plan.memory.fixed, plan.memory.activations // devices
    parts = f"{units.size(fixed)} weights, gradients, state and data, {units.size(activations)} activations"
    times = f", {runs_per_gpu} runs at a time" if runs_per_gpu > 1 else ""
    total = units.size(runs_per_gpu * (fixed + activations))
    return [("memory of a GPU", f"about {total}{times} ({parts}), by shapes; CUDA and its workspaces come on top")]


@EXECUTORS.register
@dataclass(frozen=True)
class DebugExecutor(_Here):
    """One run after the other in this process: what a debugger can step through."""

    name: ClassVar[str] = "debug"

    @property
    def at_once(self) -> int:
        return 1

    def run(self, plan: Plan, options: RunOptions, listen: Listen) -> dict[str, str]:
        return run_here(plan.runs, options, listen)


@EXECUTORS.register
@dataclass(frozen=True)
class LocalExecutor(_Here):
    """Worker processes on this machine, one for each run at a time, or for each GPU."""

    name: ClassVar[str] = "local"

    def run(self, plan: Plan, options: RunOptions, listen: Listen) -> dict[str, str]:
        return run_pool(plan.runs, options, self.at_once, listen, processes=self.processes)


@EXECUTORS.register
@dataclass(frozen=True)
class SlurmExecutor:
    """Job arrays of a SLURM cluster; nothing depends on this process once they are submitted.

    Args:
        profile: what jobs ask for and how runs are packed into them.
        tell: is given a line of text for every array that was submitted.
        delay: least seconds before the jobs start.
    """

    name: ClassVar[str] = "slurm"

    profile: Profile = field(default_factory=lambda: Profile.model_validate({}))
    tell: Callable[[str], None] = print
    delay: int = 0

    def fit(self, options: RunOptions) -> RunOptions:
        profile = self.profile
        return replace(options, device=profile.job_device, threads=profile.threads, devices=profile.devices)

    def alone(self, threads: int) -> Self:
        update = {"threads": threads, "runs_per_gpu": 1, "array_parallelism": 1, "gpus": min(1, self.profile.gpus)}
        profile = self.profile.model_copy(update=update)
        if profile.at_a_time > 1:  # on the GPUs that gres asks for
            profile = profile.model_copy(update={"runs_per_job": 1})
        return replace(self, profile=profile)

    def device(self) -> torch.device:
        kind = self.profile.job_device
        return torch.device("cuda" if self.profile.charged_gpus and kind == "auto" else kind.replace("auto", "cpu"))

    @property
    def gpu_model(self) -> str:
        """The GPU model that the profile names, if its published speed is known."""
        profile = self.profile
        return known_gpu(" ".join(filter(None, (profile.gres, profile.constraint, profile.partition, profile.title))))

    def describe(self, plan: Plan) -> list[tuple[str, str]]:
        profile, jobs = self.profile, self._jobs(plan)
        try:
            most, here = commands.max_array_size(), []
        except SambenchError:  # off the cluster a plan is an estimate like all else
            most, here = USUAL_ARRAY, [("cluster", f"SLURM is not here: arrays of {USUAL_ARRAY} jobs, its usual limit")]
        needs = resources(jobs, profile, most)
        fits = (
            f"{needs.requeued} of {needs.jobs} jobs are checkpointed and requeued at it, {needs.starts} starts in all"
            if needs.requeued
            else "all jobs fit"
        )
        return [
            (
                "jobs",
                f"{needs.jobs} in {count(needs.arrays, 'array')}, {count(profile.at_a_time, 'run')} at a time in each",
            ),
            ("GPU hours" if profile.charged_gpus else "job hours", f"{needs.device_hours:,.1f}"),
            ("wall-clock time", f"{units.duration(needs.seconds)} at best, {profile.array_parallelism} jobs at a time"),
            (f"time limit {profile.time}", fits),
            *here,
            *_memory(plan, profile.runs_per_gpu, profile.devices),
            ("disk", units.size(self._disk(plan))),
        ]

    def check(self, plan: Plan, results: Path) -> None:
        commands.check_present()
        check_room(results, self._disk(plan))

    def run(self, plan: Plan, options: RunOptions, listen: Listen) -> dict[str, str]:
        made = submit(options.results, plan.suite.name, self._jobs(plan), self.profile, options, self.tell, self.delay)
        self.tell(f"launch {made.id}; its folder is {made.folder}")
        return {run.spec.run_id: "submitted" for run in plan.runs}

    def _jobs(self, plan: Plan) -> tuple[Packed, ...]:
        return pack(plan.runs, self.profile.runs_per_job, self.profile.at_a_time)

    def _disk(self, plan: Plan) -> int:
        jobs = len(self._jobs(plan))
        return disk_bytes(plan, min(jobs, self.profile.array_parallelism) * self.profile.at_a_time, jobs)
