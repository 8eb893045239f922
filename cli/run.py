"""``sambench run``: one run, whose every field is an option."""

import re
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any

import typer

from ..benchmarks.device import pick_device
from ..benchmarks.distributed.rendezvous import DistributedEnvironment, read_environment
from ..benchmarks.m_sharpness import read_m
from ..benchmarks.precision import best_precision
from ..benchmarks.resolve import make_spec, recipe_of
from ..benchmarks.spec import RunSpec
from ..benchmarks.training.keeping import Keep, read_model
from ..benchmarks.training.loggers import check_loggers
from ..benchmarks.training.made_with import outdated
from ..benchmarks.training.run import run_spec_in_group
from ..benchmarks.training.signals import note_signals
from ..datasets.source import Source
from ..errors import ConfigError
from ..results.records.models import find_run, model_path
from ..results.records.retire import retire
from ..results.records.store import Store
from .console import err, facts, out, say
from .describe import outcome
from .model_options import model_options, read_fields, read_settings
from .options import (
    COMPILER,
    RESULTS,
    Anew,
    Compile,
    DataRoot,
    Device,
    Every,
    Graph,
    Keeping,
    Logging,
    Plugins,
    Results,
    results_option,
)
from .progress import run_progress

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="hyper-parameter of variant, sampler or base; may be repeated"),
]
Devices = Annotated[
    int | None,
    typer.Option(
        "--devices",
        min=1,
        help="spread the run over so many devices of this machine: the same run, to rounding; "
        "with --set m=device each perturbs by its own share of the batch",
    ),
]


@model_options(RunSpec, "fields", "The run (every field of its spec)", skip={"hyper"})
def run(
    fields: dict[str, Any],
    settings: Settings = None,
    results: Results = RESULTS,
    plugin: Plugins = None,
    data: DataRoot = None,
    device: Device = "auto",
    devices: Devices = None,
    checkpoint_seconds: Every = 60.0,
    anew: Anew = False,
    keep: Keeping = "",
    log: Logging = "",
    cuda_graph: Graph = False,
    compiled: Compile = False,
) -> None:
    """Train one run and write its record. A run that is in the store is shown; an interrupted one resumes.

    The data set may be named with its place, as in --dataset cifar10-jpeg=parquet:DIR: records carry the name.

    --devices N starts this command N times, under torchrun. Processes that torchrun or srun started make the run
    together, one device each.
    """
    environment = read_environment()
    devices = _count(devices, environment)
    source = None
    fields = read_fields(fields)
    if "dataset" in fields:
        source = Source.parse(fields["dataset"])
        fields["dataset"] = source.name
        fields.setdefault("augment", recipe_of(source.name, source.location))
    hyper = read_settings(settings or [])
    size = str(fields.get("batch_size", RunSpec.model_fields["batch_size"].default))
    if "m" in hyper and re.fullmatch("[0-9]{1,9}", size):  # else the spec says what is wrong with it
        hyper["m"] = read_m(hyper["m"], int(size), devices)
    store = Store(results)
    if re.fullmatch("[0-9a-f]{1,63}", str(fields.get("init"))):
        fields["init"] = find_run(store, fields["init"])
    spec = make_spec({"precision": best_precision(pick_device(device)), **fields, "hyper": hyper})
    kept = Keep.parse(keep) if keep else None
    if kept is not None:
        kept.epochs(spec.epochs)
    check_loggers(log)
    if anew and environment is None:
        for run_id in outdated([(spec, source)], store):
            retire(store, run_id)
    known = store.has(spec.run_id)
    if devices > 1 and environment is None and not known:
        from ..benchmarks.distributed.torchrun import run_under_torchrun

        run_under_torchrun(devices, sys.argv[1:])
        return
    if environment is not None:
        note_signals()
    is_main_process = environment is None or environment.rank == 0
    with _reason_recorded(environment), run_progress(err, shown=is_main_process) as watch:
        record = run_spec_in_group(
            spec,
            store,
            environment,
            device=device,
            source=source,
            data_root=data,
            checkpoint_seconds=checkpoint_seconds,
            watch=watch,
            keep=kept,
            log_to=log,
            cuda_graph=cuda_graph,
            compiler=COMPILER if compiled else None,
        )
    if not is_main_process:
        return
    say(f"{'already in the store' if known else record.status}: {store.path(spec.run_id)}")
    out.print(facts([("run", spec.label()), *outcome(record)]))
    if (path := model_path(store, spec.run_id)).is_file():
        say(f"model: {path}")
    elif keep and record.weights is not None:
        read_model(store, spec.run_id)  # the run was done before: says how its model is made again
    say(f"next: sambench leaderboard{results_option(results)}")


def _reason_recorded(environment: DistributedEnvironment | None) -> AbstractContextManager[None]:
    """Leave the reason of a failure to torchrun where it started this process; it is not imported for one alone."""
    if environment is None:
        return nullcontext()
    from ..benchmarks.distributed.torchrun import reason_recorded

    return reason_recorded(environment)


def _count(devices: int | None, environment: DistributedEnvironment | None) -> int:
    """Return the number of devices: that of the processes that were started, which ``--devices`` must not contradict.

    Args:
        devices: as ``--devices`` says; None where it was not given.
        environment: of this process; None where nobody started it together with others.
    """
    if environment is None:
        return devices or 1
    if devices not in (None, environment.size):
        raise ConfigError(
            f"--devices {devices}: {environment.size} processes of this run were started; leave --devices out, or "
            f"start {devices} processes"
        )
    return environment.size
