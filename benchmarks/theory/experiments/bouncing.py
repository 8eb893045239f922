r"""SAM ends in a 2-cycle across a ravine, and drifts along it to where it is wide (Bartlett, Long and Bousquet 2022).

On :math:`\frac12 \sum \lambda_j x_j^2` the cycle is :math:`\pm a` along the largest eigenvalue: from
:math:`-a = a - \eta\lambda(a + \rho)`,

.. math:: a = \frac{\eta\rho\lambda}{2 - \eta\lambda}.

A step multiplies a small component along :math:`\lambda_j = r\lambda` by
:math:`1 - \eta\lambda r - r^2 (2 - \eta\lambda)`, which is inside (-1, 1) exactly for r < 1: only the cycle along the
largest eigenvalue attracts. On a ravine :math:`\frac12 h(y) x^2` the perturbed point is at :math:`|x| = a + \rho`, so
that y moves by :math:`-\frac{\eta}{2} h'(y)(a + \rho)^2` a step, up to higher powers of rho:

.. math:: y_{t+1} = y_t - \frac{2\eta\rho^2 h'(y_t)}{(2 - \eta h(y_t))^2}.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from ..figures import GUARANTEE, Frame, canvas, colors
from ..reference_solver import follow
from ..verdicts import agreement, verdict
from .base import EXPERIMENTS, Experiment

RHO = 0.05
CURVATURES = (1.0, 0.5, 0.2)
EXACT = 1e-9


def amplitude(eta: float, curvature: float, rho: float) -> float:
    """Return the amplitude of the 2-cycle."""
    return eta * rho * curvature / (2 - eta * curvature)


def drifted(y: float, eta: float, rho: float, steps: int) -> np.ndarray:
    """Return the predicted y along the ravine h = 1 + y^2, (steps + 1,)."""
    out = [y]
    for _ in range(steps):
        y -= 2 * eta * rho**2 * 2 * y / (2 - eta * (1 + y * y)) ** 2
        out.append(y)
    return np.array(out)


def _bowl(x: Tensor, t: int) -> Tensor:
    return (x.new_tensor(CURVATURES) * x.square()).sum() / 2


def _ravine(x: Tensor, t: int) -> Tensor:
    return (1 + x[1].square()) * x[0].square() / 2


def measure(quick: bool) -> Frame:
    parts = []
    steps = 120
    for eta in (0.5, 1.0, 1.5):
        path = follow("sam", _bowl, [0.3, 0.4, -0.5], steps, lr=eta, rho=RHO)
        columns = {"part": "cycle", "case": f"ηλ = {eta:g}", "step": np.arange(steps + 1)}
        aside = np.linalg.norm(path[:, 1:], axis=1)
        closed = amplitude(eta, CURVATURES[0], RHO)
        parts.append(pd.DataFrame({**columns, "value": np.abs(path[:, 0]), "aside": aside, "closed": closed}))
    steps, eta = 200 if quick else 1_000, 0.5
    for variant in ("sgd", "usam", "sam"):
        path = follow(variant, _ravine, [0.05, 1.0], steps, lr=eta, rho=None if variant == "sgd" else RHO)
        columns = {"part": "ravine", "case": variant, "step": np.arange(steps + 1)}
        closed = drifted(1.0, eta, RHO, steps) if variant == "sam" else 1.0
        parts.append(pd.DataFrame({**columns, "value": path[:, 1], "aside": np.abs(path[:, 0]), "closed": closed}))
    return pd.concat(parts, ignore_index=True)


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.0, height=3.1)
    left, right = figure.axes
    left.set(
        yscale="log", xlabel="step", ylabel="|component along the largest λ|", title="three eigenvalues", xlim=(0, 60)
    )
    right.set(xlabel="step", ylabel="y", title="ravine ½ (1 + y²) x²")
    for axes, part in ((left, "cycle"), (right, "ravine")):
        mine = data[data["part"] == part]
        for label, color in colors(mine["case"]).items():
            line = mine[mine["case"] == label]
            axes.plot(line["step"], line["value"], color=color, label=str(label))
            if label != "sgd" and label != "usam":
                axes.plot(line["step"], line["closed"], **GUARANTEE)
        axes.plot([], [], label="closed form", **GUARANTEE)
        axes.legend(fontsize=7)
    return figure


def findings(data: Frame) -> list[str]:
    return [_cycle(data[data["part"] == "cycle"]), _drift(data[data["part"] == "ravine"])]


def _cycle(data: Frame) -> str:
    last = data.groupby("case", sort=False).tail(2)
    ends, before = last.groupby("case", sort=False).nth(1), last.groupby("case", sort=False).nth(0)
    off = agreement(ends["value"], ends["closed"])
    settled = agreement(before["value"].to_numpy(), ends["value"].to_numpy()) <= EXACT
    aside = float(ends["aside"].max())
    return verdict(
        off <= EXACT and aside <= EXACT if settled else None,
        f"SAM ends in the 2-cycle of amplitude ηρλ / (2 - ηλ) along the largest eigenvalue in all {len(ends)} cases: "
        f"the amplitude is off by {off:.1e} of it at most, and the other components are below {aside:.1e}.",
        f"SAM does not end in the 2-cycle of the closed form: the amplitude is off by {off:.1e} of it, and the other "
        f"components are {aside:.1e}.",
        "the amplitude still changes at the end of a run",
    )


def _drift(data: Frame) -> str:
    lines = {name: line["value"].to_numpy() for name, line in data.groupby("case")}
    closed = data.loc[data["case"] == "sam", "closed"].to_numpy()
    moved = {name: 1 - abs(line[-1] / line[0]) for name, line in lines.items()}
    off = float(np.abs(lines["sam"] - closed).max())
    others = max(moved["sgd"], moved["usam"])
    drift = verdict(
        None if max(moved.values()) < 0.05 else moved["sam"] >= 0.05 > others,
        f"Along the ravine SAM drifts towards where it is widest: y falls by {100 * moved['sam']:.0f} % in "
        f"{data['step'].max():,} steps, while SGD and USAM stop after {100 * others:.1f} % at most.",
        f"SAM is not alone in moving along the ravine: y falls by {100 * moved['sam']:.0f} %, with SGD or USAM by "
        f"{100 * others:.1f} %.",
        "the run is too short for a drift along the ravine to show",
    )
    follows = "follows" if off <= 0.02 else "does not follow"
    return f"{drift} It {follows} the predicted drift (largest distance {off:.1e}, with y from 1)."


EXPERIMENTS.register(
    Experiment(
        "bouncing",
        "Bouncing across a ravine",
        f"Full-batch SAM on a quadratic with eigenvalues 1, .5 and .2, and on a ravine, ρ = {RHO:g}. Bartlett, Long "
        "and "
        "Bousquet (2022): the iterates end in a 2-cycle along the largest eigenvalue, and its perturbations descend on "
        "that eigenvalue. Dashed: the amplitude, and the drift to leading order in ρ.",
        measure,
        draw,
        findings,
    )
)
