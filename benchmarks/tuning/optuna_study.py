"""Optuna's own file of a search, beside the ledger: what its dashboard and its analyses open.

It is written from the trials and never read to decide anything: proposals are functions of the ledger.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...atomic import make_folder
from ...results.records.trials import Trial
from .space import Axis
from .strategies import Settings

ENDING = ".optuna.log"
log = logging.getLogger("sambench")


class StudyFile:
    """One study for each method on each track, in one file of Optuna's ``JournalStorage``; it grows round by round.

    Args:
        path: the file; one that cannot be read is begun anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, tuple[Any, set[tuple[str, int, int]]]] = {}

    def keep(self, method: str, track: str, axes: Sequence[Axis], made: Sequence[tuple[Trial, Settings]]) -> None:
        """Add the trials of a method that are not there yet; a file that cannot be written costs nothing else.

        Args:
            method: name of the method.
            track: name of the track.
            axes: of its space.
            made: each trial, and where its setting lies in the space.
        """
        name = f"{method}, track {track}"
        try:
            try:
                study, there = self._study(name)
            except Exception:  # whatever a damaged journal makes of it
                self.path.unlink(missing_ok=True)
                self._known.clear()
                study, there = self._study(name)
            for trial, settings in made:
                key = (trial.stage, trial.trial, trial.seed)
                if key not in there:
                    study.add_trial(_frozen(trial, settings, axes))
                    there.add(key)
        except Exception as error:
            log.warning("Optuna's file %s is not written: %s: %s", self.path, type(error).__name__, error)

    def _study(self, name: str) -> tuple[Any, set[tuple[str, int, int]]]:
        if name not in self._known:
            import optuna
            from optuna.storages.journal import JournalFileBackend

            make_folder(self.path.parent)
            storage = optuna.storages.JournalStorage(JournalFileBackend(str(self.path)))
            study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
            there = [trial.user_attrs for trial in study.get_trials(deepcopy=False)]
            self._known[name] = study, {(one["stage"], one["setting"], one["seed"]) for one in there}
        return self._known[name]


def _frozen(trial: Trial, settings: Settings, axes: Sequence[Axis]) -> Any:
    """Return a trial as Optuna keeps it; a default that lies outside of its range widens the range of this trial."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.trial import TrialState, create_trial

    params, spaces = dict[str, Any](), dict[str, Any]()
    for axis in axes:
        value = settings[axis.name]
        with suppress(ValueError):  # a default of 0 has no place on a logarithmic range
            if axis.values:
                spaces[axis.name] = CategoricalDistribution([*axis.values, *({value} - {*axis.values})])
            else:
                low, high = min(axis.low, float(value)), max(axis.high, float(value))
                spaces[axis.name] = FloatDistribution(low, high, log=axis.scale == "log")
            params[axis.name] = value
    about = {"stage": trial.stage, "setting": trial.trial, "seed": trial.seed, "run": trial.run_id, "loss": trial.loss}
    ended = trial.accuracy is not None
    return create_trial(
        state=TrialState.COMPLETE if ended else TrialState.FAIL,
        value=trial.accuracy,
        params=params,
        distributions=spaces,
        user_attrs=about,
    )
