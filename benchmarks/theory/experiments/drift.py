r"""Along a line of minima SAM goes on where USAM stops (Dai, Ahn and Sra 2023).

The function is :math:`\ell(xy)` with :math:`\ell(s) = \sqrt{1 + s^2} - 1`: every (0, y) is a minimum, of curvature
:math:`y^2`. Gradient descent can settle where :math:`\eta y^2 \le 2`, USAM where
:math:`\eta y^2 (1 + \rho y^2) \le 2`, that is below

.. math:: y_\star^2 = \frac{\sqrt{1 + 8\rho/\eta} - 1}{2\rho},

and there they stop. SAM keeps bouncing in x, and y follows the drift of a ravine with :math:`h = y^2`,

.. math:: y_{t+1} = y_t - \frac{4\eta\rho^2 y_t}{(2 - \eta y_t^2)^2},

down to the origin. This is to leading order in :math:`\rho`, and while the amplitude
:math:`\eta\rho y^2 / (2 - \eta y^2)` is small beside y.
"""

from math import sqrt

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from ..figures import GUARANTEE, Frame, canvas, colors
from ..reference_solver import follow
from ..verdicts import verdict
from .base import EXPERIMENTS, Experiment

ETA, RHO = 0.1, 0.1
START = (0.5, 5.0)
STILL = 1e-4
"""A change over the last tenth of a run that counts as none."""


def last_stable(variant: str) -> float:
    """Return the largest y at which a minimum (0, y) is stable."""
    return sqrt((sqrt(1 + 8 * RHO / ETA) - 1) / (2 * RHO)) if variant == "usam" else sqrt(2 / ETA)


def drifted(path: np.ndarray) -> np.ndarray:
    """Return the predicted y of SAM, from the first step at which eta y^2 is below .2; NaN before."""
    out = np.full(len(path), np.nan)
    flat = np.flatnonzero(ETA * path**2 < 0.2)
    first = int(flat[0]) if len(flat) else len(path) - 1
    out[first] = path[first]
    for t in range(first, len(path) - 1):
        out[t + 1] = out[t] - 4 * ETA * RHO**2 * out[t] / (2 - ETA * out[t] ** 2) ** 2
    return out


def _loss(x: Tensor, t: int) -> Tensor:
    return (1 + x.prod().square()).sqrt() - 1


def measure(quick: bool) -> Frame:
    steps = 600 if quick else 1_500
    parts = []
    for variant in ("sgd", "usam", "sam"):
        path = follow(variant, _loss, START, steps, lr=ETA, rho=None if variant == "sgd" else RHO)
        closed = drifted(path[:, 1]) if variant == "sam" else last_stable(variant)
        columns = {"variant": variant, "step": np.arange(steps + 1), "closed": closed}
        parts.append(pd.DataFrame({**columns, "x": np.abs(path[:, 0]), "y": path[:, 1]}))
    return pd.concat(parts, ignore_index=True)


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.0, height=3.1)
    left, right = figure.axes
    left.set(xlabel="step", ylabel="y", title="along the minima")
    right.set(xlabel="step", ylabel="|x|", yscale="log", ylim=(1e-12, 10), title="across")
    for variant, color in colors(data["variant"]).items():
        line = data[data["variant"] == variant]
        left.plot(line["step"], line["y"], color=color, label=str(variant))
        right.plot(line["step"], line["x"], color=color, label=str(variant))
        left.plot(line["step"], line["closed"], **{**GUARANTEE, "color": color})
    left.plot([], [], label="closed form", **GUARANTEE)
    left.legend(fontsize=7)
    return figure


def findings(data: Frame) -> list[str]:
    lines = {name: line.set_index("step") for name, line in data.groupby("variant")}
    texts = [_stops(name, lines[name]) for name in ("sgd", "usam")]
    sam = lines["sam"]
    late = sam.dropna(subset="closed")
    off = float((late["y"] - late["closed"]).abs().max() / late["closed"].iloc[0])
    fallen = float(late["y"].iloc[-1] / late["y"].iloc[0])
    moving = _moved(sam)
    sentence = verdict(
        None if fallen > 0.9 and moving > STILL else moving > STILL,
        f"SAM is still moving after {data['step'].max():,} steps, when y has fallen to {fallen:.2g} of where the "
        f"prediction begins; its largest distance from the prediction is {100 * off:.1f} % of that.",
        f"SAM has stopped too, at y = {float(sam['y'].iloc[-1]):.3g}.",
        "the run of SAM is too short to tell a drift from a stop",
    )
    return [" ".join(texts), sentence]


def _moved(line: Frame) -> float:
    """Return by how much y changes over the last tenth of the run."""
    tail = line["y"].iloc[-max(len(line) // 10, 2) :]
    return float(abs(tail.iloc[-1] - tail.iloc[0]))


def _stops(name: str, line: Frame) -> str:
    edge, end = float(line["closed"].iloc[-1]), float(line["y"].iloc[-1])
    label = {"sgd": "Gradient descent", "usam": "USAM"}[name]
    return verdict(
        abs(end) <= edge * (1 + STILL) if _moved(line) <= STILL else None,
        f"{label} stops at y = {end:.3f}, below the last stable {edge:.3f}.",
        f"{label} does not stop below the last stable y = {edge:.3f}: it is at {end:.3f}.",
        f"{label} still moves at y = {end:.3f}",
    )


EXPERIMENTS.register(
    Experiment(
        "drift",
        "Along a line of minima",
        f"The function √(1 + (xy)²) - 1, whose minima are the axes, from x = {START[0]:g}, y = {START[1]:g} with "
        f"η = {ETA:g} and ρ = {RHO:g}. Dai, Ahn and Sra (2023): SAM moves along the minima towards the flat ones, USAM "
        "and gradient descent stop at the first that is stable. Dashed: the last stable y, and the predicted drift of "
        "SAM.",
        measure,
        draw,
        findings,
    )
)
