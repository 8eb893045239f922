"""``sambench run``: one run, whose every field is an option."""

from typing import Annotated, Any

import typer

from ..benchmarks.device import defaults_for_here, pick_device
from ..benchmarks.distributed.rendezvous import DistributedEnvironment, read_environment
from ..benchmarks.distributed.torchrun import run_spec_on_devices
from ..benchmarks.distributed.worker import run_spec_in_group
from ..benchmarks.m_sharpness import read_m
from ..benchmarks.resolve import make_spec
from ..benchmarks.spec import RunSpec
from ..datasets.source import Source
from ..errors import ConfigError
from ..results.records.record import RunRecord
from ..results.records.store import Store
from .console import err, facts, out
from .model_options import read_fields, read_settings, spec_options
from .options import RESULTS, DataRoot, Device, Every, Plugins, Results
from .progress import run_progress, step_progress

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


@spec_options
def run(
    fields: dict[str, Any],
    settings: Settings = None,
    results: Results = RESULTS,
    plugin: Plugins = None,
    data: DataRoot = None,
    device: Device = "auto",
    devices: Devices = None,
    checkpoint_seconds: Every = 60.0,
) -> None:
    """Train one run and write its record. A run that is in the store is shown; an interrupted one resumes.

    The data set may be named with its place, as in --dataset cifar10-jpeg=parquet:DIR: records carry the name.

    Started by torchrun or srun, the processes of the job make the run together, one device each.
    """
    seat = read_environment()
    devices = _count(devices, seat)
    source = None
    fields = read_fields(fields)
    if "dataset" in fields:
        source = Source.parse(fields["dataset"])
        fields["dataset"] = source.name
    hyper = read_settings(settings or [])
    size = str(fields.get("batch_size", RunSpec.model_fields["batch_size"].default))
    if "m" in hyper and size.isdigit():  # else the spec says what is wrong with it
        hyper["m"] = read_m(hyper["m"], int(size), devices)
    spec = make_spec({**defaults_for_here(pick_device(device)), **fields, "hyper": hyper})
    store = Store(results)
    known = store.has(spec.run_id)
    how: dict[str, Any] = {"source": source, "data_root": data, "checkpoint_seconds": checkpoint_seconds}
    if devices == 1 or seat:
        with run_progress(err) as watch:
            if seat and seat.rank:  # one process speaks for all
                run_spec_in_group(spec, store, device=device, **how)
                return
            record = run_spec_in_group(spec, store, device=device, watch=watch, **how)
    else:
        with step_progress(err, spec.label()) as listen:
            record = run_spec_on_devices(
                devices, spec, store, device=device, plugins=plugin or (), listen=listen, **how
            )
    out.print(f"{'already in the store' if known else record.status}: {store.path(spec.run_id)}", highlight=False)
    out.print(facts(_outcome(spec, record)))


def _count(devices: int | None, seat: DistributedEnvironment | None) -> int:
    """Return the number of devices: what was asked for, which a launcher must have started, or what it started."""
    if seat is None:
        return devices or 1
    if devices not in (None, seat.size):
        raise ConfigError(
            f"--devices {devices}: {seat.size} processes of this run were started; leave --devices out, or start "
            f"{devices} processes"
        )
    return seat.size


def _outcome(spec: RunSpec, record: RunRecord) -> list[tuple[str, str]]:
    rows = [("run", spec.label())]
    if record.metrics is not None:
        rows += [
            (f"{record.metrics.split} accuracy", f"{record.metrics.accuracy:.2%} of {record.metrics.count}"),
            (f"{record.metrics.split} loss", f"{record.metrics.loss:.4f} nats"),
        ]
    else:
        rows.append((record.status, record.error or ""))
    return [
        *rows,
        ("gradient evaluations", f"{record.counters.gradient_evaluations:g}"),
        ("forward evaluations", f"{record.counters.forward_evaluations:g}"),
        *([("devices", str(record.environment.devices))] if record.environment.devices > 1 else []),
        ("training time", f"{record.timing.train_seconds:.1f} s, {record.timing.images_per_second:.0f} images/s"),
    ]
