"""`sambench calibrate`: time an epoch of every method for track T."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..atomic import atomic_write_bytes, check_writable
from ..benchmarks.device import cores, pick_device, torch_threads
from ..benchmarks.spec import RunSpec
from ..benchmarks.suites.calibration import TURNS, calibrated
from ..benchmarks.suites.calibration import calibrate as time_epochs
from ..benchmarks.suites.files import SUITES
from ..benchmarks.suites.suite import Suite
from .console import say, tell
from .model_options import made_of_options
from .options import DataRoot, Device, Plugins, open_suite


@made_of_options(suite=open_suite)
def calibrate(
    suite: Suite,
    output: Annotated[Path, typer.Option("--output", help="the suite to write, with the times in it")],
    turns: Annotated[int, typer.Option("--turns", min=1, help="epochs that are timed of every method")] = TURNS,
    plugin: Plugins = None,
    data: DataRoot = None,
    device: Device = "auto",
) -> None:
    """Time an epoch of every method on this device, in turns, and write the suite of track T that rests on it."""
    name, text, _ = SUITES.read(suite.place)
    check_writable(output.parent)

    def watch(turn: int, spec: RunSpec, seconds: float) -> None:
        tell(f"turn {turn + 1} of {turns}: {spec.label()} {seconds:.2f} s")

    with torch_threads(cores()):
        measured = time_epochs(suite, pick_device(device), data, turns, watch)
    atomic_write_bytes(output, calibrated(name, text, measured).encode())
    say(f"suite: {output}; next: sambench launch {shlex.quote(str(output))}")
