"""Whether measurements can be read, and were made on the weights of the runs that the folder has."""

from collections.abc import Iterator
from pathlib import Path

from ..records.measurement import FOLDER, Measurement, Measurements
from ..records.store import Store
from ..tables.headlines import headline, headlines_of, kept_headlines
from .contents import Contents
from .finding import Finding


def check_measurements(found: Contents) -> Iterator[Finding]:
    """Hold every measurement to its id, and to the record of its run."""
    store = Store(found.root)
    measurements, kept = Measurements(store), kept_headlines(store)
    for run_id in measurements.run_ids():
        entry = found.entries.get(run_id)
        for one in measurements.of(run_id):
            if not isinstance(one, Measurement):
                way_out = "Restore the file, or delete it and measure again"
                yield Finding(_file(found, one.path), "the measurement", one.problem, way_out)
                continue
            path = measurements.path(run_id, one.measurement_id)
            file = _file(found, path)
            if kept.get(f"{run_id}/{path.name}", headline(one)) != headline(one):
                problem = "it says something else than the measurement"
                way_out = f"Delete {headlines_of(store).folder()}, which boards make anew"
                yield Finding(file, "its row in the index that boards are made from", problem, way_out)
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
