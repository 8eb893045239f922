r"""Full-batch SAM lowers the largest eigenvalue, SAM on single samples the trace (Wen, Ma and Li 2023).

Two components, :math:`f_i(u, \theta) = \frac12 h_i(\theta) u_i^2`: every (0, theta) is a minimum of both, where the
Hessian of their mean is :math:`\frac12 \mathrm{diag}(h_1, h_2)`. With :math:`h_1 = 8 + (\theta - 1)^2` and
:math:`h_2 = 1 + (\theta + 1)^2` the trace is least at theta = 0 and the largest eigenvalue, which stays that of the
first, at theta = 1. (Where two eigenvalues cross, full-batch SAM swings about the crossing instead: the component that
becomes the largest first has to grow out of rounding.)

Each u_i bounces with the amplitude of its 2-cycle. On single samples that is a cycle of f_i alone, so that theta moves
on average by the mean of the drifts, and rests where

.. math:: \sum_i \frac{h_i'(\theta)}{(2 - \eta h_i(\theta))^2} = 0,

which tends to the least trace as eta tends to zero. With the full batch only the largest eigenvalue bounces.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.optimize import root_scalar
from torch import Tensor

from ....seeding import derive_seed
from ..figures import GUARANTEE, Frame, canvas, colors
from ..reference_solver import follow
from ..verdicts import verdict
from .base import EXPERIMENTS, Experiment

ETA, RHO = 0.05, 0.3
LARGEST, TRACE = 1.0, 0.0
"""Where the largest eigenvalue and the trace are least."""


def curvatures(theta: Any) -> tuple[Any, Any]:
    """Return h_1 and h_2, of a number or of each entry."""
    return 8 + (theta - 1) ** 2, 1 + (theta + 1) ** 2


def rest(eta: float) -> float:
    """Return where the mean drift of single samples vanishes."""

    def drift(theta: float) -> float:
        first, second = curvatures(theta)
        return (theta - 1) / (2 - eta * first) ** 2 + (theta + 1) / (2 - eta * second) ** 2

    return float(root_scalar(drift, bracket=(-1, 1)).root)


def measure(quick: bool) -> Frame:
    steps = 200 if quick else 1_600
    first = np.random.default_rng(derive_seed("which-sharpness", 0)).integers(2, size=steps)

    def whole(x: Tensor, t: int) -> Tensor:
        one, other = curvatures(x[2])
        return (one * x[0].square() + other * x[1].square()) / 4

    def single(x: Tensor, t: int) -> Tensor:
        return curvatures(x[2])[first[t]] * x[first[t]].square() / 2

    parts = []
    for batch, loss, closed in (("full batch", whole, LARGEST), ("single samples", single, rest(ETA))):
        for start in (-1.0, 1.25):
            for variant in ("sam", "sgd"):
                length, rho = (steps, RHO) if variant == "sam" else (200, None)
                path = follow(variant, loss, [0.1, -0.1, start], length, lr=ETA, rho=rho)
                columns = {"batch": batch, "variant": variant, "start": start, "closed": closed}
                theta = path[::5, 2]
                parts.append(pd.DataFrame({**columns, "step": 5 * np.arange(len(theta)), "theta": theta}))
    return pd.concat(parts, ignore_index=True)


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.0, height=3.1)
    left, right = figure.axes
    left.set(xlabel="step", ylabel="θ")
    for batch, color in colors(data["batch"]).items():
        for (variant, _), line in data[data["batch"] == batch].groupby(["variant", "start"]):
            style = {"color": color, "linestyle": "-" if variant == "sam" else ":"}
            left.plot(line["step"], line["theta"], **style)
        left.plot([], [], color=color, label=str(batch))
        left.axhline(float(data.loc[data["batch"] == batch, "closed"].iloc[0]), **{**GUARANTEE, "color": color})
    left.plot([], [], color="0.5", linestyle=":", label="SGD")
    left.legend(fontsize=7)
    theta = np.linspace(-1, 1.25, 100)
    one, other = curvatures(theta)
    right.set(xlabel="θ")
    right.plot(theta, np.maximum(one, other) / 2, label="largest eigenvalue")
    right.plot(theta, (one + other) / 2, label="trace")
    right.legend(fontsize=7)
    return figure


def ends(data: Frame) -> Frame:
    """Return the mean of theta over the last fifth of each run, with where it should rest."""
    keys = ["batch", "variant", "start"]
    late = data[data["step"] >= 0.8 * data.groupby(keys)["step"].transform("max")]
    return late.groupby(keys, sort=False).agg(theta=("theta", "mean"), closed=("closed", "first")).reset_index()


def findings(data: Frame) -> list[str]:
    table = ends(data)
    texts = [_rests(batch, rows) for batch, rows in table[table["variant"] == "sam"].groupby("batch", sort=False)]
    sgd = table[table["variant"] == "sgd"]
    moved = float((sgd["theta"] - sgd["start"]).abs().max())
    still = "stays" if moved < 0.05 else "does not stay"
    return [" ".join(texts), f"SGD {still} where it reaches the minima: θ moves by {moved:.2g} at most."]


def _rests(batch: str, rows: Frame) -> str:
    low, high, closed = float(rows["theta"].min()), float(rows["theta"].max()), float(rows["closed"].iloc[0])
    what = {LARGEST: "largest eigenvalue"}.get(closed, "trace")
    least = LARGEST if closed == LARGEST else TRACE
    name = {"full batch": "Full-batch SAM", "single samples": "SAM on single samples"}[batch]
    off = max(abs(low - closed), abs(high - closed))
    shift = "" if least == closed else f", which the length of the step moves from the least trace, θ = {least:g}"
    return verdict(
        None if high - low > 0.1 else off <= 0.05,
        f"{name} ends at θ = {low:.3f} and {high:.3f} from both sides, on average over the last fifth of the steps, "
        f"{off:.3f} off at most: it should rest at {closed:.3f}{shift}.",
        f"{name} ends at θ = {low:.3f} and {high:.3f}, and not at {closed:.3f}, where the {what} asks it to rest.",
        f"{name} ends at θ = {low:.3f} and {high:.3f} from the two starts: it has not settled",
    )


EXPERIMENTS.register(
    Experiment(
        "which-sharpness",
        "Which sharpness SAM lowers",
        f"Two components whose minima share a line on which largest eigenvalue and trace of the Hessian are least at "
        f"different places; η = {ETA:g}, ρ = {RHO:g}, from both sides. Wen, Ma and Li (2023): the full batch lowers "
        "the largest eigenvalue, single samples lower the trace. Dashed: where each should rest.",
        measure,
        draw,
        findings,
    )
)
