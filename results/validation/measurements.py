"""Whether measurements can be read, and were made on the weights of the runs that the folder has."""

from collections.abc import Iterator
from pathlib import Path

from ..records.measurement import FOLDER, Measurement, Measurements
from ..records.store import Store
from .contents import Contents
from .finding import Finding


def check_measurements(found: Contents) -> Iterator[Finding]:
    """Hold every measurement to its id, and to the record of its run."""
    measurements = Measurements(Store(found.root))
    for run_id in measurements.run_ids():
        entry = found.entries.get(run_id)
        for one in measurements.of(run_id):
            if not isinstance(one, Measurement):
                way_out = "Restore the file, or delete it and measure again"
                yield Finding(_file(found, one.path), "the measurement", one.problem, way_out)
                continue
            file = _file(found, measurements.path(run_id, one.measurement_id))
            if entry is None:
                way_out = f"Add the record of run {run_id[:12]}, or delete its folder in {FOLDER}"
                yield Finding(file, one.label, "it was measured on a run without a record here", way_out)
            elif one.epoch is None and one.weights != entry.record.weights:
                problem = (
                    f"the record of the run says {str(entry.record.weights)[:12]}: it was measured on another model"
                )
                way_out = "Delete the measurement and measure the model of this run"
                yield Finding(file, f"weights = {one.weights[:12]}", problem, way_out)


def _file(found: Contents, path: Path) -> str:
    return path.relative_to(found.root).as_posix()
