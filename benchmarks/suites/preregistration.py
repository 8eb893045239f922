"""Pre-registration: the manifest of a suite is written before its first run, after tuning and calibration."""

import shlex

from ...errors import ConfigError
from ...results.records.manifest import FOLDER, SuiteManifest, Track, write_manifest
from ...results.records.place import command
from ...results.records.store import Store
from .suite import Suite


def preregister(suite: Suite, store: Store, command: str) -> None:
    """Write the manifest of a suite: which runs it promises, at which budgets, with which seeds.

    Args:
        suite: the suite that is about to be run.
        store: results folder; the manifest is ``suites/<name>.json`` in it.
        command: the command that makes the runs, as a reader would type it.

    Raises:
        ConfigError: a tuning or a calibration has to come first.
        StateError: runs that are done would be left out.
    """
    check_ready(suite, store)
    tracks = [
        Track.model_validate(
            {
                "name": track.name,
                "budget": track.budget,
                "runs": tuple(dict.fromkeys(spec.run_id for spec in track.specs)),
                "calibration": track.calibration,
            }
        )
        for track in suite.resolved_tracks
    ]
    manifest = SuiteManifest(
        name=suite.name,
        title=suite.title,
        description=suite.description,
        command=command,
        seeds=suite.seeds,
        tracks=tuple(tracks),
        untracked=tuple(spec.run_id for spec in suite.references) if suite.resolved_tracks else suite.run_ids,
        tuning=suite.tuned,
        predictions=dict(suite.predictions),
    )
    write_manifest(store, manifest)


def check_ready(suite: Suite, store: Store) -> None:
    """Refuse to run a suite that is to be tuned or calibrated first, and say how.

    Raises:
        ConfigError: the message has the commands to type.
    """
    named, final = suite.place or suite.name, store.root / FOLDER / f"{suite.name}.toml"
    if suite.budget is not None:
        raise ConfigError(
            f"suite {suite.name!r} is to be tuned before it is run: `{command('tune', named, store.root)}` writes one "
            f"with the chosen settings; then `{command('launch', str(final), store.root)}`"
        )
    if any(track.name == "T" and track.calibration is None for track in suite.resolved_tracks):
        raise ConfigError(
            f"track T of suite {suite.name!r} needs the time that an epoch of every method takes on your device: "
            f"`sambench calibrate {shlex.quote(named)} --output {suite.name}.timed.toml` writes a suite that has it; "
            f"then `{command('launch', f'{suite.name}.timed.toml', store.root)}`"
        )
