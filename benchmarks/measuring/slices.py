"""``surface``: the losses on a slice through the weights of a run, or on the line between two."""

from pathlib import Path
from typing import Any

from ...errors import StateError
from ...results.records.measurement import Measurement, Measurements
from ...results.records.models import find_run
from ...results.records.store import Store
from ..device import torch_threads
from .measurements import MeasuringOptions, identify, measure_run
from .registry import ask

DEFAULTS = MeasuringOptions(Path("sambench-results"))


def surface(run: str, to: str | None = None, *, options: MeasuringOptions = DEFAULTS, **settings: Any) -> Measurement:
    """Return the training and test loss on a slice through the weights of a run: a measurement like any other.

    What was measured before is read. The kept model stays as it is, to the bit.

    Args:
        run: id of a run whose model is kept, or its first six digits or more.
        to: a second run: the slice is the line from the first to it, BatchNorm statistics made anew at every point.
        options: results folder, data, device; as for ``measure_runs``.
        **settings: of the measure ``surface``, or of ``line``: ``directions="eigenvectors", dimensions=2``.

    Returns:
        Its ``series`` are ``x``, ``y`` (not of a line), ``train`` and ``test``, a number for each point.

    Raises:
        ConfigError: a setting is not valid.
        StateError: the model is not kept, or the losses cannot be measured.

    Example:
        >>> pd.DataFrame(sb.surface("b07cfa348545", dimensions=2).series)  # doctest: +SKIP
    """
    store = Store(options.results)
    run_id = find_run(store, run)
    request = ask("surface", settings) if to is None else ask("line", {"to": find_run(store, to), **settings})
    measurements, identity = Measurements(store), identify(run_id, request, options.epoch)
    if not measurements.has(run_id, identity):
        with torch_threads(1):
            result = measure_run(run_id, [request], options)
        if result.failed:
            raise StateError("\n".join(result.failed))
    return measurements.read(run_id, identity)
