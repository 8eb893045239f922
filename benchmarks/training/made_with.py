"""The code that a run is made with: what was begun with other code does not go on, what was made with it is told."""

import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...datasets import DATASETS
from ...datasets.samplers import SAMPLERS
from ...datasets.source import Source
from ...errors import StateError
from ...registry import file_of, is_built_in, source_hash
from ...results.records.behaviour import code_of
from ...results.records.lease import lease_status
from ...results.records.record import RunRecord
from ...results.records.retire import retire
from ...results.records.store import Store
from ...variants import get_info
from ...variants.averages import AVERAGES
from ...variants.hooks import HOOKS
from ...version import __version__
from ..models import MODELS
from ..spec import RunSpec
from .behaviour import code_today
from .checkpoint import MADE_WITH
from .environment import file_state

log = logging.getLogger("sambench")
VERSION = "sambench"
WAY_OUT = "`--anew` makes it again from its first step; with the code of then it stays as it is"


def plugin_sources(spec: RunSpec, location: str, *, built_in: bool = True) -> dict[str, str]:
    """Hash the files of loss hook and weight average, and of what else of a run is not part of this package.

    Args:
        spec: the resolved spec of the run.
        location: what its data set was loaded by: a name, or a format with a folder.
        built_in: whether hooks and averages of this package are among them.
    """
    used, others = _used(spec), _others(spec, location)
    return {
        kind: source_hash(one)
        for kind, one in (used | others).items()
        if (built_in and kind in used) or not is_built_in(one)
    }


def plugin_commits(spec: RunSpec, location: str) -> dict[str, str]:
    """Return the commits of what of a run is not part of this package, where its file is tracked in a checkout.

    Args:
        spec: the resolved spec of the run.
        location: what its data set was loaded by.
    """
    used = {"variant": get_info(spec.variant), **_used(spec), **_others(spec, location)}
    states = {kind: file_state(Path(file_of(one)).resolve()) for kind, one in used.items() if not is_built_in(one)}
    return {kind: f"{commit}{'+' * bool(dirty)}" for kind, (commit, dirty) in states.items() if commit}


def _used(spec: RunSpec) -> dict[str, Any]:
    used = {"hook": HOOKS.get(spec.hook), "average": AVERAGES.get(spec.average)}
    return {kind: one for kind, one in used.items() if one.name != "none"}


def _others(spec: RunSpec, location: str) -> dict[str, Any]:
    return {"sampler": SAMPLERS.get(spec.sampler), "model": MODELS.get(spec.model), "dataset": DATASETS.get(location)}


def made_with(spec: RunSpec, location: str) -> dict[str, str]:
    """Return what the results of a run depend on, name -> hash.

    A variant is told by its behaviour where that is known from its source; a plug-in by its source, as nothing of it
    should run before the run that it was named for.

    Args:
        spec: the resolved spec of the run.
        location: what its data set is loaded by.
    """
    code = code_of(spec.variant, get_info(spec.variant).source_hash())
    return {f"variant {spec.variant}": code.behaviour or code.source, **plugin_sources(spec, location, built_in=False)}


def changed_since(record: RunRecord, now: Mapping[str, str]) -> str:
    """Say what is other code today than when a record was made; empty if nothing is.

    Args:
        record: the record of a run.
        now: as :func:`made_with` returns it.
    """
    name, info = f"variant {record.spec['variant']}", get_info(record.spec["variant"])
    code = code_of(info.name, record.variant_source, record.environment.behaviour)
    same = info.source_hash() == code.source or not code_today(info).differs(code)
    return _changes({name: now[name] if same else code.behaviour or code.source, **record.plugin_sources}, now)


def retire_outdated(runs: Iterable[tuple[RunSpec, Source | None]], store: Store) -> None:
    """Put away what other code made or began of runs, so that they are made again; not what somebody is making.

    Args:
        runs: as for :func:`outdated`.
        store: results folder; see :func:`.retire.retire`.
    """
    for run_id in outdated(runs, store):
        if not lease_status(store.checkpoints(run_id))[0]:
            retire(store, run_id)


def outdated(runs: Iterable[tuple[RunSpec, Source | None]], store: Store) -> list[str]:
    """List the runs that other code made or began, by id.

    Args:
        runs: specs, with the place of their data set if it is not found by name.
        store: results folder with their records and checkpoints.
    """
    found = []
    known: dict[tuple[str, ...], dict[str, str]] = {}
    done = set(store.run_ids())
    for spec, source in runs:
        run_id = spec.run_id
        begun = None if run_id in done else _begun(store.checkpoints(run_id))
        if run_id not in done and begun is None:
            continue
        location = source.location if source else spec.dataset
        parts = (spec.variant, spec.hook, spec.average, spec.sampler, spec.model, location)
        if parts not in known:
            known[parts] = made_with(spec, location)
        now = known[parts]
        with suppress(StateError):  # a damaged record: the boards say so
            if _changes(begun, {VERSION: __version__, **now}) if begun else changed_since(store.read(run_id), now):
                found.append(run_id)
    return found


def begin(folder: Path, now: Mapping[str, str]) -> dict[str, str]:
    """Make sure that a run goes on with the code that it was begun with; return what its checkpoints are to note.

    Args:
        folder: of the checkpoints of the run; those in it are the run's.
        now: as :func:`made_with` returns it.

    Raises:
        StateError: a checkpoint there was made with other code.
    """
    whole = {VERSION: __version__, **now}
    then = _begun(folder)
    if any(folder.glob("step-*.pt")):
        if then is None:
            log.warning("run %s goes on; which code it was begun with is not known", folder.name[:12])
        elif what := _changes(then, whole):
            raise StateError(f"run {folder.name[:12]} was begun with other code ({what}): {WAY_OUT}")
    return whole


def _begun(folder: Path) -> dict[str, object] | None:
    """Return what the run of a folder was begun with, if that is known."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / MADE_WITH).read_bytes())
        return found if isinstance(found, dict) else None
    return None


def _changes(then: Mapping[str, object], now: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name}: {str(then.get(name, 'none'))[:12]}, now {value[:12]}"
        for name, value in now.items()
        if then.get(name) != value
    )
