"""Options that say where the runs of a suite are made: here, or as the jobs of a cluster."""

import inspect
import re
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from ..slurm.cluster.profile import Profile, load_profile
from .console import say
from .model_options import model_options
from .options import Device, Workers

if TYPE_CHECKING:
    from ..slurm.executor import Executor

On = Annotated[str, typer.Option("--on", help="local: processes here; debug: in this process; slurm: job arrays")]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="cluster profile: cpu, gpu, gpu-shared, preemptible, or a TOML file")
]
Extra = Annotated[
    list[str] | None, typer.Option("--extra", metavar="NAME=VALUE", help="any other option of sbatch; may be repeated")
]


@model_options(Profile, "options", "The jobs (fields of a cluster profile)", {"title", "setup", "extra", "device"})
def read_executor(
    options: dict[str, Any],
    on: On = "local",
    profile: ProfileName = None,
    extra: Extra = None,
    device: Device = "auto",
    workers: Workers = None,
) -> "Executor":
    """Put an executor together from options; refuse those that have no effect where the runs are made.

    Args:
        options: fields of a cluster profile that were given as options.
        on: name of the executor: ``local``, ``debug`` or ``slurm``.
        profile: name or file of a cluster profile.
        extra: further options of sbatch, ``NAME=VALUE`` or ``NAME``.
        device: ``auto`` or the device of the runs.
        workers: runs at a time on this machine.
    """
    from ..slurm.executor import EXECUTORS, make_executor  # torch

    kind = EXECUTORS.get(on)
    if kind.name == "slurm":
        if workers is not None:
            raise ConfigError(
                "--workers is of this machine; --runs-per-gpu and --array-parallelism say it on a cluster"
            )
        read: dict[str, str | int | bool] = {}
        for text in extra or ():
            key, equals, value = text.partition("=")
            read[key.strip().lstrip("-")] = value.strip() if equals else True
        asked = {**options, "extra": read} | ({} if device == "auto" else {"device": device})
        return make_executor(on, profile=load_profile(profile, asked), tell=say)
    if workers is not None and kind.name == "debug":
        raise ConfigError("--workers means nothing with --on debug, which makes one run after the other")
    known = {"threads", "gpus", "runs_per_gpu", "isolate", "devices"}
    idle = [f"--{option.replace('_', '-')}" for option in options if option not in known]
    idle += (["--profile"] if profile else []) + (["--extra"] if extra else [])
    if idle:
        raise ConfigError(f"{', '.join(idle)} means something on a cluster only; add --on slurm, or leave it out")
    settings: dict[str, Any] = {"threads": 1} | {name: _here(name, text) for name, text in options.items()}
    return make_executor(on, device_name=device, workers=workers, **settings)


def executor_words(context: typer.Context, *more: str) -> str:
    """Return the options of the present command that say where runs are made, to be printed behind another one.

    Args:
        context: of the present command.
        *more: names of further options that are repeated where they were given.
    """
    words, repeated = [], {*inspect.signature(read_executor).parameters, *more}
    for option in context.command.params:
        name = option.name or ""
        if name in repeated and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE":
            value = context.params[name]
            values = value if isinstance(value, list) else [value]
            words += (
                [(option.opts if value else option.secondary_opts)[0]]
                if isinstance(value, bool)
                else [f"{option.opts[0]} {shlex.quote(str(v))}" for v in values]
            )
    return "".join(f" {word}" for word in words)


def _here(name: str, text: str | bool) -> int | tuple[int, ...]:
    """Read what an option says of this machine: the numbers of its GPUs, or how many there are of something."""
    if isinstance(text, bool):
        return text
    if name == "gpus" and re.fullmatch("[0-9]{1,9}(,[0-9]{1,9})*", text):
        return tuple(map(int, text.split(",")))
    if name != "gpus" and re.fullmatch("[1-9][0-9]{0,8}", text):
        return int(text)
    form = "the numbers of GPUs, as in 0,2" if name == "gpus" else "a whole number from 1 on"
    raise ConfigError(f"--{name.replace('_', '-')} {text!r} is not valid here: write {form}")
