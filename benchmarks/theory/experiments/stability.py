r"""How long a step may be: USAM loses stability where SAM keeps that of gradient descent (Dai, Ahn and Sra 2023).

On :math:`\frac{\lambda}{2} x^2` a step of USAM multiplies x by :math:`1 - \eta\lambda(1 + \rho\lambda)`: it diverges
for :math:`\eta\lambda(1 + \rho\lambda) > 2`. A step of SAM adds at most :math:`\eta\lambda\rho` to a step of gradient
descent, whatever x is, so that it stays bounded exactly for :math:`\eta\lambda < 2`.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from ..figures import GUARANTEE, Frame, canvas, colors
from ..reference_solver import follow
from ..verdicts import agreement, verdict
from .base import EXPERIMENTS, Experiment
from .bouncing import amplitude

FAR = 1e8
"""Start of the runs that tell growth: there SAM's perturbation is lost in rounding."""
TOLERANCE = 1e-5


def boundary(variant: str, rho: float) -> float:
    """Return the largest stable eta lambda, with lambda = 1."""
    return 2 / (1 + rho) if variant == "usam" else 2.0


def _bowl(x: Tensor, t: int) -> Tensor:
    return x.square().sum() / 2


def _grows(variant: str, eta: float, rho: float) -> bool:
    path = follow(variant, _bowl, [FAR], 4, lr=eta, rho=None if variant == "sgd" else rho)
    return not abs(path[-1, 0]) <= FAR


def _edge(variant: str, rho: float) -> float:
    """Find the boundary by bisection."""
    low, high = 0.0, 4.0
    while high - low > TOLERANCE / 4:
        middle = (low + high) / 2
        low, high = (low, middle) if _grows(variant, middle, rho) else (middle, high)
    return (low + high) / 2


def measure(quick: bool) -> Frame:
    radii = np.linspace(0, 2, 3 if quick else 9)
    edges = [
        {"part": "edge", "variant": variant, "x": rho, "value": _edge(variant, rho), "closed": boundary(variant, rho)}
        for variant in ("usam", "sam")
        for rho in radii
    ]
    eta, rho, steps = 1.5, 0.5, 60
    paths = [
        pd.DataFrame({"part": "path", "variant": variant, "x": np.arange(steps + 1.0), "value": path, "closed": edge})
        for variant, edge in (("sgd", 0.0), ("usam", np.nan), ("sam", amplitude(eta, 1.0, rho)))
        for path in [np.abs(follow(variant, _bowl, [1.0], steps, lr=eta, rho=None if edge == 0 else rho)[:, 0])]
    ]
    return pd.concat([pd.DataFrame(edges), *paths], ignore_index=True)


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.0, height=3.1)
    left, right = figure.axes
    left.set(xlabel="ρλ", ylabel="largest stable ηλ", ylim=(0, 2.3))
    right.set(yscale="log", xlabel="step", ylabel="|x|", title="ηλ = 1.5, ρλ = 0.5", ylim=(1e-16, 1e6))
    shade = colors(["sgd", "usam", "sam"])
    for variant, color in shade.items():
        edge = data[(data["part"] == "edge") & (data["variant"] == variant)]
        if len(edge):
            left.plot(edge["x"], edge["value"], "o", color=color, label=str(variant))
            left.plot(edge["x"], edge["closed"], **GUARANTEE)
        path = data[(data["part"] == "path") & (data["variant"] == variant)]
        right.plot(path["x"], path["value"], color=color, label=str(variant))
    right.axhline(data.loc[(data["part"] == "path") & (data["variant"] == "sam"), "closed"].iloc[0], **GUARANTEE)
    left.plot([], [], label="closed form", **GUARANTEE)
    for axes in figure.axes:
        axes.legend(fontsize=7)
    return figure


def findings(data: Frame) -> list[str]:
    edges = dict(iter(data[data["part"] == "edge"].groupby("variant")))
    off = {name: agreement(line["value"], line["closed"]) for name, line in edges.items()}
    apart = edges["usam"]["value"].to_numpy() < edges["sam"]["value"].to_numpy() - 10 * TOLERANCE
    with_radius = edges["usam"]["x"].to_numpy() > 0
    texts = [
        verdict(
            off["usam"] <= TOLERANCE,
            f"USAM's boundary is ηλ (1 + ρλ) = 2, found by bisection to {off['usam']:.0e} at {len(edges['usam'])} ρλ.",
            f"USAM's boundary is off ηλ (1 + ρλ) = 2 by {off['usam']:.1e} of it.",
        ),
        verdict(
            off["sam"] <= TOLERANCE,
            f"SAM's is ηλ = 2 at every ρλ, that of gradient descent (to {off['sam']:.0e}).",
            f"SAM's is off ηλ = 2 by {off['sam']:.1e} of it.",
        ),
        verdict(
            bool(apart[with_radius].all()) if with_radius.any() else None,
            "USAM is the less stable of the two at every ρ > 0.",
            f"USAM is the less stable of the two at {int(apart[with_radius].sum())} of {int(with_radius.sum())} ρ > 0.",
            "no ρ > 0 was tried",
        ),
    ]
    return [" ".join(texts), _bounded(data[data["part"] == "path"])]


def _bounded(data: Frame) -> str:
    ends = {name: float(line["value"].iloc[-1]) for name, line in data.groupby("variant")}
    limit = float(data.loc[data["variant"] == "sam", "closed"].iloc[0])
    usam = "diverges" if not ends["usam"] <= 1 else "does not diverge"
    off = abs(ends["sam"] / limit - 1)
    sam = f"bounces at {ends['sam']:.3g}, " + ("its 2-cycle" if off < 1e-9 else f"{off:.1e} off its 2-cycle")
    return (
        f"At ηλ = 1.5 and ρλ = .5, between the two, USAM {usam} (|x| = {ends['usam']:.1e} after "
        f"{int(data['x'].max())} steps from 1) and SAM {sam}; gradient descent is at {ends['sgd']:.1e}."
    )


EXPERIMENTS.register(
    Experiment(
        "stability",
        "Steps that are too long, for USAM and for SAM",
        "The longest stable step on a quadratic, found by bisection through the registered variants, for ρλ from 0 "
        "to 2; "
        "and one setting between the two boundaries. Dai, Ahn and Sra (2023): normalization is what keeps SAM stable.",
        measure,
        draw,
        findings,
    )
)
