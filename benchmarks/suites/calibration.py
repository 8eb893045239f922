"""Calibration of track T: the time of an epoch of each method on one device, measured before the runs."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch

from ...errors import ConfigError, StateError
from ...results.records.manifest import Calibration
from ...results.records.record import Environment
from ...results.records.store import Store
from ..resolve import make_spec
from ..spec import RunSpec
from ..training.run import run_spec
from .suite import Suite

TURNS = 3


def calibrate(
    suite: Suite,
    device: torch.device,
    data_root: str | None = None,
    turns: int = TURNS,
    watch: Callable[[int, RunSpec, float], None] = lambda turn, spec, seconds: None,
) -> Calibration:
    """Train one epoch of every method of track T, in turns, and return the median time of each.

    A whole run of one epoch is timed, not some steps: what a method does only at times, or only towards its end, is in
    it. Methods take turns, so that a disturbance of the machine meets all of them, and a slow first epoch is no median.

    Args:
        suite: a suite that has track T.
        device: where the runs of the suite will be made.
        data_root: folder of downloaded data sets.
        turns: number of epochs that are timed of every method.
        watch: called with turn, spec and seconds after every epoch.

    Raises:
        ConfigError: the suite has no track T.
        StateError: a method does not get through an epoch.
    """
    found: dict[str, list[float]] = {}
    environment: Environment | None = None
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(turns):
            for method, spec in _epochs(suite, turn):
                record = run_spec(
                    spec, Store(Path(folder)), source=suite.source(spec), data_root=data_root, device=device
                )
                if record.status != "completed":
                    raise StateError(f"{method!r} does not get through one epoch: {record.error}")
                found.setdefault(method, []).append(record.timing.train_seconds)
                environment = record.environment
                watch(turn, spec, record.timing.train_seconds)
    if environment is None:
        raise ConfigError(f"suite {suite.name!r} has no track T: write tracks = ['T'] and [time] seconds = ...")
    return Calibration(
        device_name=environment.device_name,
        threads=environment.threads,
        host=environment.host,
        torch=environment.torch,
        seconds={method: median(seconds) for method, seconds in found.items()},
        turns=turns,
    )


def calibrated(name: str, text: str, calibration: Calibration) -> str:
    """Return the TOML of a suite with its calibration added.

    Raises:
        ConfigError: the suite has one already.
    """
    if "[time.calibration]" in text:
        raise ConfigError(f"suite {name!r} is calibrated already; start from the one without [time.calibration]")
    values = calibration.model_dump(exclude={"seconds"})
    head = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    times = "".join(f"{json.dumps(method)} = {seconds!r}\n" for method, seconds in calibration.seconds.items())
    return f"{text.rstrip()}\n\n[time.calibration]\n{head}\n[time.calibration.seconds]\n{times}"


def check_device(suite: Suite, here: Environment, threads: int) -> None:
    """Refuse to make runs of track T anywhere but on the device of its calibration, in the machine that it was in."""
    for track in suite.resolved_tracks:
        if (there := track.calibration) is not None:
            require_device(there.device_name, there.host, there.threads, here, threads)


def require_device(device_name: str, host: str, threads: int, here: Environment, threads_here: int) -> None:
    """Refuse another device than the one that a suite was calibrated on.

    Args:
        device_name: name of the processor or GPU model of the calibration.
        host: hash of the machine of the calibration.
        threads: CPU threads of a run in the calibration.
        here: the machine that is about to make runs.
        threads_here: CPU threads that it would make them with.

    Raises:
        ConfigError: device, machine or threads differ.
    """
    that = f"{device_name} with {threads} threads, host {host}"
    this = f"{here.device_name} with {threads_here} threads, host {here.host}"
    if this != that:
        raise ConfigError(
            f"track T was calibrated on {that}, this is {this}: times do not compare. Run it there (on a cluster: "
            "--extra nodelist=NAME), or calibrate it here under another name"
        )


def _epochs(suite: Suite, turn: int) -> Iterator[tuple[str, RunSpec]]:
    if any(track.name == "T" for track in suite.resolved_tracks):
        for one in suite.entries:
            if one.track in (None, "T") and not one.reference:
                yield one.method, make_spec({**one.fields, "epochs": 1, "warmup_epochs": 0, "seed": turn})
