"""Tuning curves: the expected best result after k trials."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from ...errors import ConfigError
from ..records.trials import Trial
from ..statistics.intervals import expected_best
from ..tables.comparability import brief_name
from .line_chart import Curve, line_figure

_NOTE = "expected best of k trials drawn at random from those made, on held-out training images"


def tuning_curves(trials: Iterable[Trial]) -> list[Curve]:
    """Estimate the error of the best of k trials for every method; the method with the lowest last value comes first.

    It is the mean over all subsets of k trials of the screening stage
    (:func:`~sambench.results.statistics.intervals.expected_best`). A trial that diverged or failed counts as an error
    of 100 %.

    Args:
        trials: trials of one track of a ledger.
    """
    accuracies: dict[str, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.stage == "screen":
            accuracies[trial.method].append(trial.accuracy or 0.0)
    found = []
    for method, values in sorted(accuracies.items()):
        errors = 100 * (1 - expected_best(values))
        found.append(Curve(brief_name(method), np.arange(1.0, len(values) + 1), errors, errors, errors))
    return sorted(found, key=lambda curve: (curve.mean[-1], curve.label))


def tuning_figure(trials: Iterable[Trial], title: str) -> Figure:
    """Draw the expected best validation error after k trials of every method.

    Args:
        trials: trials of one track of a ledger.
        title: text above the figure.

    Raises:
        ConfigError: there are no trials.
    """
    found = tuning_curves(trials)
    if not found:
        raise ConfigError("there are no trials to draw: tune the suite with `sambench tune`")
    return line_figure(found, title, "Validation error, %", "Trials", _NOTE)
