"""``sambench run``: one run, whose every field is an option."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ...results.record import RunRecord
from ...results.store import Store
from ..environment import pick_device
from ..execute import execute
from ..source import Source
from ..spec import RunSpec, defaults_for_here, make_spec
from .console import err, facts, out
from .fields import read_fields, read_settings, spec_options
from .options import DataRoot, Device, Every, Plugins, Results
from .progress import run_progress

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="hyper-parameter of variant, sampler or base; may be repeated"),
]


@spec_options
def run(
    fields: dict[str, Any],
    settings: Settings = None,
    results: Results = Path("results"),
    plugin: Plugins = None,
    data: DataRoot = None,
    device: Device = "auto",
    checkpoint_seconds: Every = 60.0,
) -> None:
    """Train one run and write its record. A run that is in the store is shown; an interrupted one resumes.

    The data set may be named with its place, as in --dataset cifar10-jpeg=parquet:DIR: records carry the name.
    """
    source = None
    fields = read_fields(fields)
    if "dataset" in fields:
        source = Source.parse(fields["dataset"])
        fields["dataset"] = source.name
    picked = pick_device(device)
    spec = make_spec({**defaults_for_here(picked), **fields, "hyper": read_settings(settings or [])})
    store = Store(results)
    known = store.has(spec.run_id)
    with run_progress(err) as watch:
        record = execute(
            spec,
            store,
            source=source,
            data_root=data,
            device=picked,
            checkpoint_seconds=checkpoint_seconds,
            watch=watch,
        )
    out.print(f"{'already in the store' if known else record.status}: {store.path(spec.run_id)}", highlight=False)
    out.print(facts(_outcome(spec, record)))


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
        ("training time", f"{record.timing.train_seconds:.1f} s, {record.timing.images_per_second:.0f} images/s"),
    ]
