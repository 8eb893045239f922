"""What the end of a run shows: the line still falls, has settled, rises, or one cannot tell."""

from collections.abc import Mapping

import numpy as np

from .figures import Frame

FALLING, SETTLED, RISING, DIVERGED, UNDECIDED = "falling", "settled", "rising", "diverged", "undecided"
ROUNDING = 1e-25
"""Below this share of the start a gap is rounding: the square of what float64 leaves of a distance."""


def trend(line: Frame, column: str = "relative") -> str:
    """Compare the last quarter of a run with the quarter before it, means over the trials and their recorded steps.

    A line that falls as 1/t has ln(4/3) / ln(3/2) = .71 of the mean of the quarter before. So it is falling below .8,
    rising above 1.25, and settled between .87 and 1.15, unless it is only slow: a line whose mean falls in nine of ten
    recorded steps of the last half, by at least a tenth of its whole fall in the last quarter, is falling. Between
    those bounds, and with fewer than three recorded steps in a quarter, it is undecided.

    Args:
        line: rows of one method, with its trials; columns ``step`` and the one to look at.
        column: what to look at.
    """
    if not np.isfinite(line[column]).all():
        return DIVERGED
    mean = line.groupby("step")[column].mean()
    share = mean.index / mean.index.max()
    before, after = mean[(share > 0.5) & (share <= 0.75)], mean[share > 0.75]
    if min(len(before), len(after)) < 3:
        return UNDECIDED
    if max(before.max(), after.max()) < ROUNDING:
        return SETTLED
    if min(before.mean(), after.mean()) <= 0:
        return UNDECIDED
    ratio = after.mean() / before.mean()
    steady = (mean[share > 0.5].diff().dropna() < 0).mean() >= 0.9
    if ratio < 0.8 or (steady and -np.log(ratio) > 0.1 * np.log(mean.iloc[0] / after.mean())):
        return FALLING
    return SETTLED if 0.87 <= ratio <= 1.15 else RISING if ratio > 1.25 else UNDECIDED


def endings(lines: Mapping[str, Frame], column: str = "relative") -> str:
    """Say of several lines, by their labels, how each ends.

    Example:
        >>> import pandas as pd
        >>> step = np.arange(1, 101)
        >>> falls = pd.DataFrame({"step": step, "relative": 0.9**step})
        >>> endings({"a": falls, "b": falls.assign(relative=0.1), "c": falls})
        'falling (a; c), settled (b)'
    """
    found = {label: trend(line, column) for label, line in lines.items()}
    kinds = (FALLING, SETTLED, RISING, DIVERGED, UNDECIDED)
    said = {kind: [label for label, one in found.items() if one == kind] for kind in kinds}
    return ", ".join(f"{kind} ({'; '.join(labels)})" for kind, labels in said.items() if labels)


def crossing(values: Frame, target: float) -> float:
    """Return the step at which a falling line passes a target, interpolated in the logarithm.

    Args:
        values: a positive series by step.
        target: what it has to pass.

    Returns:
        The step; NaN if the line is never below the target, or before its third recorded step, where the recorded
        steps are too far apart to tell.

    Example:
        >>> import pandas as pd
        >>> round(crossing(pd.Series({0: 1.0, 10: 1e-2, 20: 1e-4, 30: 1e-6}), 1e-5))
        25
    """
    log, steps = np.log(values.to_numpy()), values.index.to_numpy()
    below = log <= np.log(target)
    after = int(np.argmax(below))
    if after < 2 or not below[after]:
        return np.nan
    return float(np.interp(-np.log(target), -log[after - 1 : after + 1], steps[after - 1 : after + 1]))
