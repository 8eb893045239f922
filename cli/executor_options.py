"""Options that say where the runs of a suite are made: here, or as the jobs of a cluster."""

from typing import Annotated, Any

import typer

from ..errors import ConfigError
from ..slurm.cluster.profile import Profile, load_profile
from .model_options import model_options

PLACES = ("local", "debug", "slurm")
Place = Annotated[str, typer.Option("--on", help="local: processes here; debug: in this process; slurm: job arrays")]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="cluster profile: cpu, gpu, gpu-shared, preemptible, or a TOML file")
]
Extra = Annotated[
    list[str] | None, typer.Option("--extra", metavar="NAME=VALUE", help="any other option of sbatch; may be repeated")
]

profile_options = model_options(
    Profile, "options", "The jobs (fields of a cluster profile)", skip={"title", "setup", "extra", "device"}
)


def read_profile(on: str, name: str | None, options: dict[str, Any], extra: list[str] | None) -> Profile:
    """Put a profile together from a name and options; say where options have no effect."""
    if on not in PLACES:
        raise ConfigError(f"--on {on!r} is not valid; choose one of {', '.join(PLACES)}")
    read: dict[str, str | int | bool] = {}
    for text in extra or ():
        key, equals, value = text.partition("=")
        read[key.strip().lstrip("-")] = value.strip() if equals else True
    idle = [option for option in options if option != "threads"] if on != "slurm" else []
    if idle or (on != "slurm" and (name or read)):
        names = ", ".join(f"--{option.replace('_', '-')}" for option in [*idle, *(["profile"] if name else [])])
        raise ConfigError(f"{names or '--extra'} means something on a cluster only; add --on slurm, or leave it out")
    return load_profile(name, {**options, "extra": read})
