"""Options that commands share. The command gets what is ready to use: plug-ins are loaded, sources are parsed.

An option that may be repeated is None where it was not given: no command has a list as its default.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..datasets.source import Source
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
Results = Annotated[Path, typer.Option("--results", envvar=RESULTS_VARIABLE, help="folder of records and checkpoints")]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        callback=_load,
        help="Python file with plug-ins of any kind; may be repeated",
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
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="processes \\[default: one per core, at most 4]")]
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


def open_suite(suite: SuiteName, source: Sources = None) -> "Suite":
    """Read a suite whose data sets lie where ``--source`` says."""
    from ..benchmarks.suites.suite import load_suite  # torch, for the step rules

    return load_suite(suite, tuple(source or ()))


def run_options(
    results: Path, data: str | None, plugins: list[str] | None, every: float = 60.0, keep: str = ""
) -> "RunOptions":
    """Put together what options say of how runs are made; the executor adds device and threads."""
    from ..slurm.options import RunOptions

    return RunOptions(results, data_root=data, plugins=tuple(plugins or ()), checkpoint_seconds=every, keep=keep)
