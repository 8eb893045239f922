"""Options that commands share. The command gets what is ready to use: plug-ins are loaded, sources are parsed.

An option that may be repeated is None where it was not given: no command has a list as its default.
"""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..benchmarks.suites.draft import Changes, Draft, draft
from ..datasets.source import Source
from ..errors import ConfigError
from ..registry import load_plugin
from ..results.records.place import RESULTS as RESULTS
from ..results.records.place import RESULTS_VARIABLE as RESULTS_VARIABLE
from ..results.records.place import results_option as results_option

if TYPE_CHECKING:
    from ..benchmarks.suites.suite import Suite
    from ..slurm.options import RunOptions


def _load(plugins: list[str] | None) -> list[str] | None:
    for path in plugins or ():
        load_plugin(path)
    return plugins


SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="a shipped suite or a TOML file")]
SuiteOrVariants = Annotated[
    str | None, typer.Argument(metavar="SUITE", help="a shipped suite or a TOML file; or give --variants")
]
Results = Annotated[Path, typer.Option("--results", envvar=RESULTS_VARIABLE, help="folder of records and checkpoints")]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        callback=_load,
        help="Python file (or module) with plug-ins of any kind; may be repeated",
    ),
]
Sources = Annotated[
    list[Source] | None,
    typer.Option(
        "--source",
        metavar="NAME=KIND:DIR",
        parser=Source.parse,
        help="where a data set lies, as in cifar10-jpeg=parquet:DIR; may be repeated",
    ),
]
DataRoot = Annotated[str | None, typer.Option("--data", envvar="SAMBENCH_DATA", help="folder of downloaded data sets")]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ... [dim](slurm: as the profile says)[/]")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="processes \\[default: one per GPU, else one per core, at most 4]"),
]
Anew = Annotated[
    bool, typer.Option("--anew", help="make again what other code made; its old record moves to the folder replaced")
]
Every = Annotated[float, typer.Option("--checkpoint-seconds", min=0, help="least time between two checkpoints")]

Graph = Annotated[
    bool, typer.Option("--cuda-graph", help="record steps as CUDA graphs where that is possible: the same bits, sooner")
]

COMPILER = "inductor"
Compile = Annotated[
    bool,
    typer.Option("--compile", help="train by code of torch.compile, which has other bits; the record says so"),
]
Keeping = Annotated[
    str,
    typer.Option(
        "--keep",
        metavar="WHAT",
        help="weights: keep those that a run is evaluated with; weights@0,10,50%: those after so many epochs, too",
    ),
]

Logging = Annotated[
    str,
    typer.Option(
        "--log",
        metavar="NAMES",
        help="tell the epochs to these loggers, with commas between them: tensorboard, wandb (offline), or a plug-in's",
    ),
]


def open_suite(suite: SuiteName, source: Sources = None) -> "Suite":
    """Read a suite whose data sets lie where ``--source`` says."""
    from ..benchmarks.suites.suite import load_suite  # torch, for the step rules

    return load_suite(suite, tuple(source or ()))


PANEL = "The suite, put together or changed here"


def read_changes(
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="of all runs; with tracks, of SAM", rich_help_panel=PANEL)
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="such as 0-4 or 0,2,7", metavar="SEEDS", rich_help_panel=PANEL)
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", help="variants that stay, such as sgd,'is_*'", metavar="NAMES", rich_help_panel=PANEL),
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="of all runs", rich_help_panel=PANEL)] = None,
    model: Annotated[str | None, typer.Option("--model", help="of all runs", rich_help_panel=PANEL)] = None,
    track: Annotated[
        str | None,
        typer.Option("--track", help="what is held equal: E, G, or E,G", metavar="TRACKS", rich_help_panel=PANEL),
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option("--variants", help="a suite of these, and no SUITE", metavar="NAMES", rich_help_panel=PANEL),
    ] = None,
) -> Changes:
    """Say what of a suite is to be otherwise than in its file."""
    return Changes(variants, dataset, model, epochs, seeds, only, track)


def open_drafted(suite: str | None, changes: Changes, source: list[Source] | None) -> "tuple[Suite, Draft | None]":
    """Read a suite that may be put together or changed here; the draft is None where it is read as it is.

    Raises:
        ConfigError: it cannot be used.
    """
    from ..benchmarks.models import MODELS  # torch, here and for the step rules
    from ..benchmarks.suites.suite import expand_suite, load_suite
    from ..datasets import DATASETS

    made = draft(suite, changes)
    if made is None:
        return load_suite(str(suite), tuple(source or ())), None
    opened = expand_suite(made.name, made.content, Path.cwd(), tuple(source or ()), suite or "")
    for name in {spec.dataset for spec in opened.specs} - {one.name for one in opened.sources}:
        DATASETS.get(name)
    for name in {spec.model for spec in opened.specs}:
        MODELS.get(name)
    return opened, made


def typed(plugin: list[str] | None, source: list[Source] | None = None, data: str | None = None) -> str:
    """Return what a printed command needs of the options that were given: without them it would fail, pasted."""
    words = [("--plugin", path) for path in plugin or ()]
    words += [("--source", f"{one.name}={one.location}") for one in source or ()]
    words += [("--data", data)] if data and data != os.environ.get("SAMBENCH_DATA") else []
    return "".join(f" {option} {shlex.quote(value)}" for option, value in words)


def run_options(
    results: Path,
    data: str | None,
    plugins: list[str] | None,
    every: float = 60.0,
    keep: str = "",
    log: str = "",
    cuda_graph: bool = False,
    compiled: bool = False,
) -> "RunOptions":
    """Put together what options say of how runs are made; the executor adds device and threads."""
    from ..slurm.options import RunOptions

    return RunOptions(
        results,
        data_root=data,
        plugins=tuple(plugins or ()),
        checkpoint_seconds=every,
        keep=keep,
        log_to=log,
        cuda_graph=cuda_graph,
        compiler=COMPILER if compiled else None,
    )


def check_own(path: Path | None, mark: str) -> None:
    """Refuse to replace a file that a command did not write.

    Args:
        path: where it is about to write; None for a place of its own.
        mark: a text that is in all that it writes there.

    Raises:
        ConfigError: another file is there.
    """
    if path is not None and path.is_file() and mark.encode() not in path.read_bytes():
        raise ConfigError(f"{path} was not written by this command; name another file with --output, or move it away")
