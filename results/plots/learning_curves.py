"""Learning curves of a workload: mean over seeds and interval, against epochs or gradient evaluations."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ...errors import ConfigError
from ..records.record import RunRecord
from ..statistics.intervals import Interval, t_interval
from ..tables.comparability import key_of, labels, method_of
from .line_chart import Curve, line_figure

Against = Literal["epoch", "gradient_evaluations"]

_AXES: dict[Against, str] = {"epoch": "Epochs", "gradient_evaluations": "Gradient evaluations"}


def curves(records: Iterable[RunRecord], title: str, against: Against = "gradient_evaluations") -> Figure:
    """Draw the mean curve of every method of one workload, with its 95 % t-interval over seeds.

    The curve is the validation error where every run measured it, else the training loss; the axis is logarithmic,
    since methods differ most at its low end. Runs that diverged or failed have no curve to average;
    the leaderboard counts them.

    Args:
        records: runs of one workload, in any order.
        title: text above the figure, such as the workload's name.
        against: quantity of the x-axis.

    Raises:
        ConfigError: no run of the workload completed.
    """
    done = [record for record in records if record.status == "completed" and record.curve]
    if not done:
        raise ConfigError("there are no curves to draw: no run of this workload completed")
    validated = all(any(p.validation_accuracy is not None for p in record.curve) for record in done)
    found = mean_curves(done, against, validated)
    name = "Validation error, %" if validated else "Training loss, nats"
    return line_figure(found, title, name, _AXES[against], "mean and 95 % t-interval over seeds")


def mean_curves(records: Sequence[RunRecord], against: Against, validated: bool) -> list[Curve]:
    """Average the curves of each method over its runs, epoch by epoch; best at the end first.

    The values are validation errors in percent or training losses. x is averaged as well: an importance sampler
    may spend a little more in one run than in another.
    """
    methods = {key_of(method_of(record)): method_of(record) for record in records}
    keys = sorted(methods)
    names = dict(zip(keys, labels([methods[key] for key in keys]), strict=True))
    points = [
        (names[key_of(method_of(record))], p.epoch, getattr(p, against), value)
        for record in sorted(records, key=lambda record: record.run_id)
        for p in record.curve
        if (value := _error(p.validation_accuracy) if validated else p.train_loss) is not None
    ]
    table = pd.DataFrame(points, columns=["label", "epoch", "x", "value"])
    result = []
    for label, part in table.groupby("label"):
        steps = [step for _, step in part.groupby("epoch")]
        ends = np.array([interval_of(step["value"].to_numpy()) for step in steps])
        result.append(Curve(str(label), np.array([step["x"].mean() for step in steps]), *ends.T))
    return sorted(result, key=lambda curve: (curve.mean[-1], curve.label))


def interval_of(values: ArrayLike) -> Interval:
    """Return the mean with its 95 % t-interval, which for a single value is that value."""
    values = np.asarray(values, dtype=np.float64)
    return t_interval(values) if len(values) > 1 else Interval(*3 * [float(values[0])])


def _error(share: float | None) -> float | None:
    return None if share is None else 100 * (1 - share)
