"""``sambench surface``: the loss around a trained network, or between two."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .console import say
from .model_options import read_settings
from .options import RESULTS, DataRoot, Device, Plugins, Results, Sources, results_option


def surface(
    run: Annotated[str, typer.Argument(metavar="RUN", help="first digits of a run's id")],
    to: Annotated[str | None, typer.Argument(metavar="[RUN]", help="a second run: the line between them")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="directions=eigenvectors, dimensions=2, points=41, ...; see sambench describe surface and line",
        ),
    ] = None,
    results: Results = RESULTS,
    output: Annotated[
        Path | None, typer.Option("--output", help="figure without its ending \\[default: figures in the results]")
    ] = None,
    epoch: Annotated[
        int | None, typer.Option("--epoch", min=0, help="weights after so many epochs, of --keep weights@N")
    ] = None,
    source: Sources = None,
    plugin: Plugins = None,
    data: DataRoot = None,
    device: Device = "cpu",
) -> None:
    """Measure and draw the training and test loss on a slice through the weights of a run, or on the line between two.

    The data are a measurement, measured once; the figure is a PNG and an SVG.
    """
    from ..benchmarks.measuring.measurements import MeasuringOptions
    from ..benchmarks.measuring.slices import surface as measure
    from ..results.plots.style import save
    from ..results.plots.surface import surface_figure
    from ..results.records.measurement import Measurements
    from ..results.records.models import find_run
    from ..results.records.store import Store

    options = MeasuringOptions(
        results, epoch, device=device, data_root=data, sources=tuple(source or ()), plugins=tuple(plugin or ())
    )
    given = read_settings(settings or [])
    if own := given.keys() & {"run", "to", "options"}:
        raise ConfigError(f"--set {min(own)} is no setting of a slice: the run is an argument, and --to is an option")
    found, store = measure(run, to, options=options, **given), Store(results)
    ends = [found.run_id, *([find_run(store, to)] if to else [])]
    title = "\nto ".join(map(_describe, [store.read(run).spec for run in ends]))
    stem = output or results / "figures" / f"{found.measure}-{found.run_id[:8]}-{found.measurement_id[:8]}"
    for path in (
        Measurements(store).path(found.run_id, found.measurement_id),
        *save(surface_figure(found, title, [run[:8] for run in ends]), stem),
    ):
        say(str(path))
    say(f"next: sambench site{results_option(results)}")


def _describe(spec: dict[str, Any]) -> str:
    hyper = "".join(f" {name}={value}" for name, value in spec["hyper"].items())
    return f"{spec['variant']}{hyper} on {spec['dataset']}, seed {spec['seed']}"
