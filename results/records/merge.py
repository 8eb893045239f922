"""Merging results folders: new records are added, differences are reported, existing records never change."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from .record import RunRecord
from .store import Damaged, DamagedError, Store, store_of

MEASURED = ("timing", "peak_memory", "environment")
"""Fields of a record that say where and how fast a run was made; they are not compared."""
OF_POINTS = {"seconds", "sam_gap", "gradient_norm", "perturbed_gradient_norm"}
"""Fields of a point of the curve that are not compared: times, and what older records of the same run lack."""


@dataclass(frozen=True)
class Conflict:
    """Two final records of one run whose results differ.

    Attributes:
        run_id: hash of the spec.
        label: variant and seed, for messages.
        differences: (field, value here, value there) for every field that differs.
        ours: hardware and code that made the record here, in one line.
        theirs: hardware and code that made the record there.
    """

    run_id: str
    label: str
    differences: tuple[tuple[str, Any, Any], ...]
    ours: str
    theirs: str

    def __str__(self) -> str:
        lines = [f"run {self.run_id[:12]} ({self.label}) has two results; the one that was here stays:"]
        lines += [f"  {name}: {here} here, {there} there" for name, here, there in self.differences]
        if self.ours != self.theirs:
            lines.append(f"  made by: {self.ours} here, {self.theirs} there")
        return "\n".join(lines)


@dataclass
class Merged:
    """What a merge did.

    Attributes:
        added: number of final records that were added.
        failed: number of records of failed attempts that were added.
        same: number of runs that both folders have, with the same result.
        conflicts: runs that both folders have, with different results.
        damaged: files of either folder that are no records.
    """

    added: int = 0
    failed: int = 0
    same: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)


def merge(into: Store, source: Path) -> Merged:
    """Add the records of another results folder to a store.

    The first final record of a run stays for good, so a run that is here is never replaced. Where both have it, the
    results are compared: everything but times, memory and machine.

    Args:
        into: store that the records are added to.
        source: another results folder, or its folder ``runs``.

    Raises:
        ConfigError: the source is no results folder, or the store itself.
        StateError: the folder cannot be written.
    """
    other = store_of(source)
    if not other.runs.is_dir():
        raise ConfigError(f"{source} is no results folder: it has no folder 'runs' with records")
    if other.runs.resolve() == into.runs.resolve():
        raise ConfigError(f"{source} is the results folder itself; name the folder that another cluster wrote")
    merged = Merged()
    for record in other.scan():
        if isinstance(record, Damaged):
            merged.damaged.append(record)
        elif into.has(record.run_id):
            try:
                _compare(into.read(record.run_id), record, merged)
            except DamagedError as error:
                merged.damaged.append(error.damaged)
        elif record.status == "failed":
            merged.failed += record.run_id not in into.failed_ids() and into.write(record)
        else:
            merged.added += into.write(record)
    return merged


def _compare(ours: RunRecord, theirs: RunRecord, merged: Merged) -> None:
    if theirs.status == "failed":  # a failed attempt there does not contradict a result here
        merged.same += 1
        return
    differences = tuple(_differences(_results(ours), _results(theirs)))
    if differences:
        label = f"{ours.spec['variant']} seed {ours.spec['seed']}"
        merged.conflicts.append(Conflict(ours.run_id, label, differences, _maker(ours), _maker(theirs)))
    else:
        merged.same += 1


def _results(record: RunRecord) -> dict[str, Any]:
    """Flatten the results of a run into one dict."""
    content = record.model_dump(mode="json", exclude={*MEASURED, "spec", "run_id", "schema_version"})
    curve = [{key: value for key, value in point.items() if key not in OF_POINTS} for point in content.pop("curve")]
    metrics = content.pop("metrics") or {}
    counters = content.pop("counters")
    return {**content, "points of the curve": len(curve), "curve": curve, **metrics, **counters}


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(name), theirs.get(name)
        if here != there:
            long = isinstance(here, list) or (isinstance(here, str) and len(here) > 16)
            yield name, _short(here) if long else here, _short(there) if long else there


def _short(value: Any) -> str:
    return "another" if isinstance(value, list) else f"{str(value)[:12]}..."


def _maker(record: RunRecord) -> str:
    environment = record.environment
    commit = f", commit {environment.commit[:9]}" if environment.commit else ""
    commit = f", release {environment.sambench} ({environment.source[:9]})" if environment.source else commit
    dirty = " with changes" if environment.dirty else ""
    return f"{environment.device_name}, {environment.threads} threads, torch {environment.torch}{commit}{dirty}"
